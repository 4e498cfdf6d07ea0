-- A batch whose commit went unheard is written again: what stands already stays, and a task that is gone is left out.
INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata)
SELECT u.id, u.timestamp, u.level, u.module, u.message, u.user_id, (SELECT t.id FROM tasks t WHERE t.id = u.task_id), u.request_id, u.ip_address, u.user_agent, u.metadata
FROM jsonb_to_recordset($1) AS u(id uuid, timestamp timestamptz, level text, module text, message text, user_id uuid, task_id uuid, request_id text, ip_address inet, user_agent text, metadata jsonb)
ON CONFLICT DO NOTHING
