INSERT INTO tasks (id, title, description, priority, assigned_to, created_by, due_date, estimated_duration, metadata, dependencies, tags, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, current_user_id(), $6, $7, $8, $9, $10, now(), now())
