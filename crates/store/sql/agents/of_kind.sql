SELECT user_id FROM agents WHERE kind = $1 ORDER BY created_at, user_id LIMIT 1
