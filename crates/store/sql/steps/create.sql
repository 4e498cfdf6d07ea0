INSERT INTO steps (id, run_id, task_id, ordinal, name, server, tool, state, arguments, arguments_sha256, policy_id, policy_reason, approval_id, attempt, error, created_at, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, now(), $16)
