SELECT {columns} FROM tasks WHERE status IN ('pending', 'in_progress') ORDER BY created_at, id LIMIT $1
