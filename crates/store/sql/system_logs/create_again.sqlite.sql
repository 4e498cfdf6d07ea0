-- A batch whose commit went unheard is written again: what stands already stays, and a task that is gone is left out.
INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata)
SELECT value ->> 'id', value ->> 'timestamp', value ->> 'level', value ->> 'module', value ->> 'message',
       value ->> 'user_id', (SELECT t.id FROM tasks t WHERE t.id = value ->> 'task_id'), value ->> 'request_id', value ->> 'ip_address', value ->> 'user_agent', value -> 'metadata'
FROM json_each($1) WHERE true
ON CONFLICT DO NOTHING
