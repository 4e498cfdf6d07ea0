INSERT INTO users (id, username, email, password_hash, role, first_name, last_name, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now(), now())
