SELECT {columns} FROM steps WHERE task_id = ANY($1) AND server = '' AND tool = 'wait' AND state = 'planned' ORDER BY created_at, id LIMIT $2
