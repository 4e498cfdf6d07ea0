SELECT title FROM tasks WHERE id = ANY($1) AND status <> 'completed' ORDER BY created_at, id LIMIT 5
