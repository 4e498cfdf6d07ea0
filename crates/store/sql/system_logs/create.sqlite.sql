-- As short as it can be. Whatever it refuses is written by create_again.
INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata)
SELECT value ->> 'id', value ->> 'timestamp', value ->> 'level', value ->> 'module', value ->> 'message',
       value ->> 'user_id', value ->> 'task_id', value ->> 'request_id', value ->> 'ip_address', value ->> 'user_agent', value -> 'metadata'
FROM json_each($1)
