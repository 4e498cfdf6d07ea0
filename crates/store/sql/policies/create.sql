INSERT INTO policies (id, position, name, server, tool, condition, outside, effect, approval_ttl_minutes, created_by, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, current_user_id(), now(), now())
