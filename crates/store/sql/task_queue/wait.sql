UPDATE task_queue SET state = 'waiting', worker = NULL, lease_until = NULL
WHERE task_id = $1 AND worker = $2 AND attempt = $3 AND state = 'leased'
