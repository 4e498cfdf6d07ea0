-- {logs} lines over the last sixty days, spread over 1,000 users; one in ten names a task.
INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, metadata)
SELECT gen_random_uuid(), now() - interval '60 days' + i * (interval '60 days' / {logs}),
       (ARRAY['info', 'debug', 'info', 'warning', 'info', 'debug', 'info', 'info', 'error', 'info'])[1 + i % 10],
       (ARRAY['web', 'worker', 'watcher', 'store', 'server:files'])[1 + i % 5],
       'step ' || i % 7 || ' of request ' || i || ' took ' || i % 991 || ' ms', lpad(to_hex(1 + i % 1000), 32, '0')::uuid,
       CASE WHEN i % 10 = 0 THEN (SELECT (lpad(to_hex(1700000000000 + k * 1000), 12, '0') || '70008000' || lpad(to_hex(k), 12, '0'))::uuid FROM (SELECT 1 + i / 10 % {tasks} AS k) x) END,
       'r' || i, '{}'
FROM generate_series(1, {logs}) i;
