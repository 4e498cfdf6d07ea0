SELECT {columns} FROM memories WHERE user_id = $1 OR user_id IS NULL ORDER BY created_at DESC, id DESC LIMIT 2000
