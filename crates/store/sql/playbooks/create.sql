INSERT INTO playbooks (id, name, source, is_on, task_id, created_by, created_at)
VALUES ($1, $2, $3, false, $4, current_user_id(), now())
