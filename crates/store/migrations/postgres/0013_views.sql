-- Views
-- FIX 11: without security_invoker a view reads as its owner and shows every row to everyone.
CREATE VIEW task_summary WITH (security_invoker = true) AS
SELECT
    t.id,
    t.title,
    t.status,
    t.priority,
    u.username as assigned_to_name,
    t.created_at,
    t.updated_at,
    t.due_date,
    COUNT(a.id) as approval_requests,
    CASE
        -- FIX 22: a finished task is not overdue. FIX 12: the day is the UTC day.
        WHEN t.status IN ('completed', 'failed', 'cancelled') THEN 'on_track'
        WHEN t.due_date < date_trunc('day', now(), 'UTC') THEN 'overdue'
        WHEN t.due_date <= date_trunc('day', now(), 'UTC') + INTERVAL '1 day' THEN 'due_soon'
        ELSE 'on_track'
    END as urgency_status
FROM tasks t
LEFT JOIN users u ON t.assigned_to = u.id
LEFT JOIN approvals a ON t.id = a.task_id
GROUP BY t.id, u.username;

-- FIX 11: security_invoker; FIX 12: the day is the UTC day.
CREATE VIEW daily_activity WITH (security_invoker = true) AS
SELECT
    DATE(l.timestamp AT TIME ZONE 'UTC') as activity_date,
    l.level,
    COUNT(*) as event_count,
    STRING_AGG(DISTINCT l.module, ', ') as modules_affected
FROM system_logs l
WHERE l.timestamp >= date_trunc('day', now(), 'UTC') - INTERVAL '30 days'
GROUP BY DATE(l.timestamp AT TIME ZONE 'UTC'), l.level
ORDER BY activity_date DESC, l.level;

-- A user in full (still without the password's hash), for oneself and for user administrators: users itself shows an
-- ordinary user no addresses. The view reads as its owner, app_definer, and spells the rule out. FIX 11: a barrier, or a
-- condition of the reader's (email::int = 1) meets the rows before the rule does, and its error shows what they hold.
CREATE VIEW accounts WITH (security_barrier = true) AS
SELECT u.id, u.username, u.email, u.role, u.status, u.first_name, u.last_name, u.created_at, u.updated_at, u.last_login,
       u.preferences, EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) AS is_agent
FROM users u
WHERE (u.id = current_user_id() AND (SELECT has_permission(current_user_id(), 'sign_in')))
   OR (SELECT has_permission(current_user_id(), 'user_admin'));
