INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, metadata)
SELECT u.id, u.timestamp, u.level, u.module, u.message, u.user_id, (SELECT t.id FROM tasks t WHERE t.id = u.task_id), u.request_id, u.metadata
FROM jsonb_to_recordset($1) AS u(id uuid, timestamp timestamptz, level text, module text, message text, user_id uuid, task_id uuid, request_id text, metadata jsonb)
