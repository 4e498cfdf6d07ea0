INSERT INTO agents (user_id, kind, created_at) VALUES ($1, $2, now())
