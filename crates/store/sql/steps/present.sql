-- The last step of a task's newest run, to be looked at.
SELECT id, run_id, task_id, ordinal, name, server, tool, state, arguments, arguments_sha256, policy_id, policy_reason, approval_id, attempt,
    substr(result, 1, 16384) AS result, error, started_at, finished_at, created_at
FROM steps WHERE run_id = (SELECT r.id FROM runs r WHERE r.task_id = $1 ORDER BY r.number DESC LIMIT 1) ORDER BY ordinal DESC LIMIT 1
