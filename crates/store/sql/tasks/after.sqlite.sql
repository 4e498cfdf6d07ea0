SELECT {columns:t} FROM tasks t WHERE t.id IN (SELECT d.task_id FROM main.task_dependencies d WHERE d.depends_on = ANY($1) LIMIT 1000)
ORDER BY t.created_at, t.id LIMIT $2
