SELECT {columns} FROM steps WHERE task_id = ANY($1) AND started_at IS NOT NULL ORDER BY started_at, id LIMIT $2
