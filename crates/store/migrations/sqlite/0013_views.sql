-- Views. They read with nobody's eyes and need no function of Steward, so that any SQLite tool can use them; Steward's
-- own connections see them through the guards (crates/store/src/sqlite/guard_reads.sql).
CREATE VIEW task_summary AS
SELECT
    t.id,
    t.title,
    t.status,
    t.priority,
    (SELECT u.username FROM users u WHERE u.id = t.assigned_to) AS assigned_to_name,
    t.created_at,
    t.updated_at,
    t.due_date,
    (SELECT COUNT(*) FROM approvals a WHERE a.task_id = t.id) AS approval_requests,
    CASE
        WHEN t.status IN ('completed', 'failed', 'cancelled') THEN 'on_track'
        WHEN t.due_date < strftime('%Y-%m-%dT00:00:00.000000Z', 'now') THEN 'overdue'
        WHEN t.due_date <= strftime('%Y-%m-%dT00:00:00.000000Z', 'now', '+1 day') THEN 'due_soon'
        ELSE 'on_track'
    END AS urgency_status
FROM tasks t;

CREATE VIEW daily_activity AS
SELECT
    g.activity_date,
    g.level,
    g.event_count,
    (SELECT group_concat(m.module, ', ') FROM (
        SELECT DISTINCT s.module FROM system_logs s
        WHERE s.level = g.level AND s.module IS NOT NULL
          AND s.timestamp >= g.activity_date || 'T00:00:00.000000Z' AND s.timestamp <= g.activity_date || 'T23:59:59.999999Z'
        ORDER BY s.module) m) AS modules_affected
FROM (SELECT substr(l.timestamp, 1, 10) AS activity_date, l.level, COUNT(*) AS event_count
      FROM system_logs l
      WHERE l.timestamp >= strftime('%Y-%m-%dT00:00:00.000000Z', 'now', '-30 days')
      GROUP BY substr(l.timestamp, 1, 10), l.level) g
ORDER BY g.activity_date DESC, g.level;

-- A user in full (still without the password's hash).
CREATE VIEW accounts AS
SELECT u.id, u.username, u.email, u.role, u.status, u.first_name, u.last_name, u.created_at, u.updated_at, u.last_login,
       u.preferences, EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) AS is_agent
FROM users u;
