UPDATE task_queue SET state = 'ready', worker = NULL, lease_until = NULL, ready_at = from_now($4)
WHERE task_id = $1 AND worker = $2 AND attempt = $3 AND state = 'leased'
