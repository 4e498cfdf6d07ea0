INSERT INTO approvals (id, task_id, action_type, details, requested_by, expires_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, current_user_id()::text, $5, now(), now())
