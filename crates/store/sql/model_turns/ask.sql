INSERT INTO model_turns (id, run_id, task_id, ordinal, model, request_sha256, request_bytes, attempt, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
