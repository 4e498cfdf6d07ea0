INSERT INTO sessions (id, user_id, token, expires_at, ip_address, user_agent, created_at, last_accessed)
VALUES ($1, $2, $3, $4, $5, $6, now(), now())
