UPDATE steps SET state = 'allowed', started_at = NULL WHERE id = $1 AND state = 'started' AND attempt = $2
