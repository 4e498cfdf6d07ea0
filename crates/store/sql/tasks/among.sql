SELECT {columns} FROM tasks WHERE id = ANY($1) ORDER BY created_at DESC, id DESC LIMIT 200
