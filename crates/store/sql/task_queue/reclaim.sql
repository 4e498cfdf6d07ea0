UPDATE task_queue SET state = 'ready', worker = NULL, lease_until = NULL, ready_at = now()
WHERE state = 'leased' AND (lease_until < now() OR substr(worker, 1, length($1::text)) = $1) RETURNING task_id
