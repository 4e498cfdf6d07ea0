INSERT INTO api_tokens (id, user_id, name, token, hint, scopes, expires_at, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
