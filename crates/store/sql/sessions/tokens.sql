SELECT token FROM sessions WHERE id = $1 OR user_id = $1 ORDER BY created_at DESC, id LIMIT 1000
