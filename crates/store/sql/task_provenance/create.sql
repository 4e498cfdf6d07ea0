INSERT INTO task_provenance (task_id, outside, source, detail, created_at) VALUES ($1, $2, $3, $4, now())
