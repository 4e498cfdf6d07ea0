UPDATE task_queue SET lease_until = from_now($4)
WHERE task_id = $1 AND worker = $2 AND attempt = $3 AND state = 'leased' RETURNING {columns}
