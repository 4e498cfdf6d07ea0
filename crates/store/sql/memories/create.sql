INSERT INTO memories (id, content, user_id, source, outside, task_id, step_id, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, current_user_id(), now())
