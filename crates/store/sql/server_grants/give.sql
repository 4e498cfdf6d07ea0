INSERT INTO server_grants (server_id, secret, created_at) VALUES ($1, $2, now())
