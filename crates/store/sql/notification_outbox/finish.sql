UPDATE notification_outbox SET state = $3, last_error = $4, lease_until = NULL WHERE notification_id = $1 AND attempts = $2 AND state IN ('planning', 'waiting')
