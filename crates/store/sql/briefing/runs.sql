SELECT {columns} FROM runs WHERE task_id = ANY($1) ORDER BY started_at, id LIMIT $2
