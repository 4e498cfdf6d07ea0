-- {tasks} tasks over a year, spread over 1,000 users, nine of ten completed; and what hangs on them: an audit row each,
-- a notification for every second, an approval for every fifth (one in a hundred of them still pending), a run with a
-- step for every tenth.
INSERT INTO tasks (id, title, description, status, priority, assigned_to, created_by, created_at, updated_at, completed_at)
SELECT (lpad(to_hex(1700000000000 + i * 1000), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
       'Invoice ' || i || ' from supplier ' || i % 317,
       'Check invoice ' || i || ', file it under ' || (ARRAY['rent', 'travel', 'hosting', 'paper', 'insurance'])[1 + i % 5] || ' and pay it in time.',
       s.status, (ARRAY['low', 'medium', 'high', 'medium'])[1 + i % 4],
       CASE WHEN i % 4 = 0 THEN lpad(to_hex(1 + i / 4 % 1000), 32, '0')::uuid END, lpad(to_hex(1 + i % 1000), 32, '0')::uuid,
       t.at, t.at, CASE WHEN s.status = 'completed' THEN t.at + interval '1 hour' END
FROM generate_series(1, {tasks}) i,
     LATERAL (SELECT now() - interval '1 year' + i * (interval '365 days' / {tasks}) AS at) t,
     LATERAL (SELECT CASE i / 1000 % 50 WHEN 0 THEN 'pending' WHEN 1 THEN 'pending' WHEN 2 THEN 'in_progress' WHEN 3 THEN 'failed' WHEN 4 THEN 'cancelled' ELSE 'completed' END AS status) s;
INSERT INTO notifications (id, user_id, title, type, status, created_at, sent_at)
SELECT gen_random_uuid(), t.created_by, 'Done: ' || t.title, 'status', CASE WHEN n % 20 = 0 THEN 'unread' ELSE 'read' END, t.created_at, t.created_at
FROM (SELECT *, row_number() OVER () AS n FROM tasks) t WHERE n % 2 = 0;
INSERT INTO approvals (id, task_id, action_type, details, status, requested_by, approved_by, approved_at, expires_at, created_at, updated_at)
SELECT gen_random_uuid(), t.id, 'tool_call', '{"tool": "pay"}', CASE WHEN n % 500 = 0 THEN 'pending' ELSE 'approved' END,
       lpad(to_hex(1002), 32, '0')::uuid, CASE WHEN n % 500 <> 0 THEN t.created_by END, CASE WHEN n % 500 <> 0 THEN t.created_at END,
       now() + interval '1 day', t.created_at, t.created_at
FROM (SELECT *, row_number() OVER () AS n FROM tasks) t WHERE n % 5 = 0;
INSERT INTO runs (id, task_id, number, playbook, playbook_source, playbook_sha256, state, finished_at)
SELECT t.id, t.id, 1, 'file-away', 'steps: []', repeat('a', 64), 'completed', t.created_at
FROM (SELECT *, row_number() OVER () AS n FROM tasks) t WHERE n % 10 = 0;
INSERT INTO steps (id, run_id, task_id, ordinal, name, server, tool, state, arguments, arguments_sha256)
SELECT r.id, r.id, r.task_id, 0, 'move', 'files', 'move_file', 'succeeded', '{}', repeat('a', 64) FROM runs r;
INSERT INTO task_provenance (task_id, outside, source) SELECT id, true, 'watcher:inbox' FROM runs;
INSERT INTO file_attachments (id, filename, original_filename, mime_type, file_size, storage_path, uploaded_by, task_id, is_encrypted, hash_checksum, created_at)
SELECT r.id, 'invoice.pdf', 'invoice.pdf', 'application/pdf', 1000, r.id::text, t.created_by, t.id, true, repeat('a', 64), t.created_at
FROM runs r JOIN tasks t ON t.id = r.task_id;
