INSERT INTO runs (id, task_id, number, playbook, playbook_source, playbook_sha256, started_by, started_at)
VALUES ($1, $2, (SELECT COALESCE(max(r.number), 0) + 1 FROM runs r WHERE r.task_id = $2), $3, $4, $5, current_user_id(), now())
