-- {waiting} tasks that wait for the agent, with their places in the queue, as the triggers would have made them.
WITH made AS (
    INSERT INTO tasks (id, title, priority, assigned_to, created_by, created_at, updated_at)
    SELECT gen_random_uuid(), 'Waiting ' || i, 'medium', lpad(to_hex(1002), 32, '0')::uuid, lpad(to_hex(1 + i % 1000), 32, '0')::uuid, now() - i * interval '1 ms', now()
    FROM generate_series(1, {waiting}) i RETURNING id, assigned_to, created_at
)
INSERT INTO task_queue (task_id, assignee, state, priority_rank, ready_at)
SELECT id, assigned_to, 'ready', 1, created_at - random() * interval '1 hour' FROM made;
