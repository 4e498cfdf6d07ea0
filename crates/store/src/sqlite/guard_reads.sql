-- What an actor sees on SQLite: run on every connection of Steward, kept in no file. Each TEMP VIEW hides the table of
-- its name, so that the same SQL reads alike on both databases. The rules are the SELECT policies of
-- migrations/postgres/0017_row_level_security.sql with the column grants of 0021_privileges.sql; a column that is not
-- granted reads NULL, a relation that is not granted is refused. Unqualified names below are the views, as PostgreSQL
-- applies the policies of a table that a policy reads.

CREATE TEMP VIEW users AS
SELECT id, username, CASE WHEN is_service() THEN email END AS email, CASE WHEN is_service() THEN password_hash END AS password_hash,
       role, status, first_name, last_name, CASE WHEN is_service() THEN created_at END AS created_at,
       CASE WHEN is_service() THEN updated_at END AS updated_at, CASE WHEN is_service() THEN last_login END AS last_login,
       CASE WHEN is_service() THEN preferences END AS preferences
FROM main.users
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW agents AS
SELECT user_id, kind, created_at FROM main.agents WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW role_permissions AS
SELECT role, permission FROM main.role_permissions WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW tasks AS
SELECT id, title, description, status, priority, assigned_to, created_by, created_at, updated_at, due_date, completed_at,
       estimated_duration, actual_duration, metadata, dependencies, tags
FROM main.tasks
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (created_by = current_user_id() OR assigned_to = current_user_id()
   OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'));

CREATE TEMP VIEW task_dependencies AS
SELECT task_id, depends_on FROM main.task_dependencies d
WHERE is_service() OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.task_id);

CREATE TEMP VIEW approvals AS
SELECT id, task_id, action_type, details, status, requested_by, approved_by, approved_at, rejected_by, rejected_at, expires_at,
       created_at, updated_at, notes
FROM main.approvals a
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (requested_by = current_user_id()
   OR has_permission(current_user_id(), 'approval_view_all')
   OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = a.task_id AND t.created_by = current_user_id()));

CREATE TEMP VIEW system_logs AS
SELECT id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata
FROM main.system_logs
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id = current_user_id()
   OR has_permission(current_user_id(), 'log_view_all'));

CREATE TEMP VIEW system_logs_partitioned AS
SELECT * FROM system_logs WHERE CASE WHEN is_service() THEN refuse('system_logs_partitioned') ELSE 1 END;

CREATE TEMP VIEW mcp_servers AS
SELECT id, name, server_type, command, args, CASE WHEN is_service() THEN environment END AS environment, status, last_heartbeat,
       capabilities, created_at, updated_at, is_active
FROM main.mcp_servers
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW server_tools AS
SELECT server_id, name, description, input_schema, definition_sha256, approved_sha256, approved_by, approved_at, repeatable,
       is_offered, first_seen, last_seen
FROM main.server_tools
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW policies AS
SELECT id, position, name, server, tool, condition, outside, effect, approval_ttl_minutes, is_active, created_by, created_at, updated_at,
       risk, approvers, never_repeat, remind_minutes, escalate_minutes, escalate_to
FROM main.policies
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW watchers AS
SELECT id, name, watcher_type, config, is_active, last_run, last_error, error_count, created_at, updated_at, created_by
FROM main.watchers
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (created_by = current_user_id()
   OR has_permission(current_user_id(), 'watcher_view_all') OR has_permission(current_user_id(), 'watcher_admin'));

CREATE TEMP VIEW watcher_events AS
SELECT watcher_id, event_key, task_id, source, fingerprint, created_at
FROM main.watcher_events e
WHERE is_service() OR EXISTS (SELECT 1 FROM watchers w WHERE w.id = e.watcher_id);

CREATE TEMP VIEW watcher_cursors AS
SELECT watcher_id, cursor, updated_at
FROM main.watcher_cursors c
WHERE is_service() OR EXISTS (SELECT 1 FROM watchers w WHERE w.id = c.watcher_id AND w.created_by = current_user_id());

CREATE TEMP VIEW sessions AS
SELECT id, user_id, CASE WHEN is_service() THEN token END AS token, expires_at, created_at, last_accessed, ip_address, user_agent, is_revoked,
       authenticated_at
FROM main.sessions
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND user_id = current_user_id();

CREATE TEMP VIEW api_tokens AS
SELECT id, user_id, name, CASE WHEN is_service() THEN token END AS token, hint, scopes, expires_at, created_by, created_at,
       last_used_at, revoked_at
FROM main.api_tokens
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id = current_user_id()
   OR has_permission(current_user_id(), 'user_admin'));

CREATE TEMP VIEW notifications AS
SELECT id, user_id, title, message, type, priority, status, data, read_at, sent_at, created_at, scheduled_for, channel
FROM main.notifications
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND user_id = current_user_id();

CREATE TEMP VIEW notification_outbox AS
SELECT notification_id, state, attempts, due_at, lease_until, last_error
FROM main.notification_outbox o
WHERE is_service() OR EXISTS (SELECT 1 FROM notifications n WHERE n.id = o.notification_id);

CREATE TEMP VIEW notification_channels AS
SELECT channel, id, config, CASE WHEN is_service() THEN secret END AS secret, is_active
FROM main.notification_channels
WHERE is_service() OR has_permission(current_user_id(), 'channel_admin');

CREATE TEMP VIEW file_attachments AS
SELECT id, filename, original_filename, mime_type, file_size, storage_path, uploaded_by, task_id, created_at, expires_at,
       is_encrypted, hash_checksum
FROM main.file_attachments f
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (uploaded_by = current_user_id()
   OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = f.task_id));

CREATE TEMP VIEW audit_trail AS
SELECT id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at
FROM main.audit_trail a
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id = current_user_id()
   OR has_permission(current_user_id(), 'audit_view_all')
   OR (entity_type = 'task' AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = a.entity_id)));

CREATE TEMP VIEW audit_requests AS
SELECT audit_id, request_id
FROM main.audit_requests r
WHERE is_service() OR EXISTS (SELECT 1 FROM audit_trail a WHERE a.id = r.audit_id);

CREATE TEMP VIEW audit_chain AS
SELECT seq, audit_id, previous_sha256, sha256
FROM main.audit_chain
WHERE is_service() OR has_permission(current_user_id(), 'audit_view_all');

CREATE TEMP VIEW task_provenance AS
SELECT task_id, outside, source, detail, created_at
FROM main.task_provenance p
WHERE is_service() OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = p.task_id);

CREATE TEMP VIEW task_queue AS
SELECT task_id, assignee, state, priority_rank, ready_at, worker, attempt, lease_until
FROM main.task_queue q
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (assignee = current_user_id()
   OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = q.task_id));

CREATE TEMP VIEW runs AS
SELECT id, task_id, number, playbook, playbook_source, playbook_sha256, state, error, started_by, started_at, finished_at
FROM main.runs r
WHERE is_service() OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = r.task_id);

CREATE TEMP VIEW steps AS
SELECT id, run_id, task_id, ordinal, name, server, tool, state, arguments, arguments_sha256, policy_id, policy_reason, approval_id,
       attempt, result, error, started_at, finished_at, created_at
FROM main.steps s
WHERE is_service() OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.task_id);

CREATE TEMP VIEW model_turns AS
SELECT id, run_id, task_id, ordinal, model, state, request_sha256, request_bytes, served_by, answer, input_tokens, cached_tokens,
       output_tokens, cost_microusd, error, attempt, asked_at, answered_at
FROM main.model_turns m
WHERE is_service() OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = m.task_id);
-- Sums name no task, and whoever is bound by a limit may know how near it is.
CREATE TEMP VIEW model_spend AS
SELECT day, model, turns, input_tokens, output_tokens, cost_microusd
FROM main.model_spend
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');
CREATE TEMP VIEW work_time AS
SELECT day, worked_ms
FROM main.work_time
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');
CREATE TEMP VIEW handbook AS
SELECT version, content, created_by, created_at
FROM main.handbook
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

-- The employee works for everybody; what it may tell whom is judged where it recalls.
CREATE TEMP VIEW memories AS
SELECT id, content, user_id, source, outside, task_id, step_id, created_by, created_at, edited_at
FROM main.memories
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id IS NULL OR user_id = current_user_id()
   OR has_permission(current_user_id(), 'policy_admin')
   OR EXISTS (SELECT 1 FROM main.agents a WHERE a.user_id = current_user_id() AND a.kind = 'employee'));
-- What is not used yet may hold words of a task that others may not see.
CREATE TEMP VIEW playbooks AS
SELECT id, name, source, is_on, task_id, created_by, created_at, switched_at
FROM main.playbooks
WHERE is_service() OR has_permission(current_user_id(), 'policy_admin')
   OR (is_on AND has_permission(current_user_id(), 'sign_in'));

CREATE TEMP VIEW approval_calls AS
SELECT approval_id, step_id, server, tool, definition_sha256, arguments, arguments_sha256, created_at
FROM main.approval_calls c
WHERE is_service() OR EXISTS (SELECT 1 FROM approvals a WHERE a.id = c.approval_id);

CREATE TEMP VIEW approval_edits AS
SELECT approval_id, arguments, arguments_sha256, edited_by, created_at
FROM main.approval_edits e
WHERE is_service() OR EXISTS (SELECT 1 FROM approvals a WHERE a.id = e.approval_id);

CREATE TEMP VIEW approval_votes AS
SELECT approval_id, user_id, note, created_at
FROM main.approval_votes v
WHERE is_service() OR EXISTS (SELECT 1 FROM approvals a WHERE a.id = v.approval_id);

CREATE TEMP VIEW contacts AS
SELECT address, name, created_by, created_at
FROM main.contacts
WHERE is_service() OR has_permission(current_user_id(), 'sign_in');

CREATE TEMP VIEW login_tries AS
SELECT key, tries, since
FROM main.login_tries
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('login_tries') END;

CREATE TEMP VIEW second_factors AS
SELECT user_id, CASE WHEN is_service() THEN secret END AS secret, CASE WHEN is_service() THEN last_step END AS last_step, created_at,
       confirmed_at
FROM main.second_factors
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id = current_user_id()
   OR has_permission(current_user_id(), 'user_admin'));

CREATE TEMP VIEW passkeys AS
SELECT id, user_id, name, site, CASE WHEN is_service() THEN credential_sha256 END AS credential_sha256,
       CASE WHEN is_service() THEN credential END AS credential, sign_count, created_at, last_used_at,
       CASE WHEN is_service() THEN last_challenge_at END AS last_challenge_at
FROM main.passkeys
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND (user_id = current_user_id()
   OR has_permission(current_user_id(), 'user_admin'));

CREATE TEMP VIEW push_keys AS
SELECT id, secret, created_at
FROM main.push_keys
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('push_keys') END;

CREATE TEMP VIEW server_grants AS
SELECT server_id, CASE WHEN is_service() THEN secret END AS secret, CASE WHEN is_service() THEN renewing_until END AS renewing_until,
       created_at
FROM main.server_grants
WHERE is_service() OR has_permission(current_user_id(), 'server_admin');

CREATE TEMP VIEW push_subscriptions AS
SELECT id, user_id, name, CASE WHEN is_service() THEN endpoint_sha256 END AS endpoint_sha256,
       CASE WHEN is_service() THEN secret END AS secret, created_at
FROM main.push_subscriptions
WHERE is_service() OR has_permission(current_user_id(), 'sign_in') AND user_id = current_user_id();

CREATE TEMP VIEW recovery_codes AS
SELECT user_id, code, used_at
FROM main.recovery_codes
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('recovery_codes') END;

CREATE TEMP VIEW setup_links AS
SELECT token, expires_at, created_at
FROM main.setup_links
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('setup_links') END;

-- What runs by the clock is the administrators' to see.
CREATE TEMP VIEW schedules AS
SELECT name, id, cron, time_zone, is_active, run_by, last_fire_at, next_fire_at, last_status, last_result, last_duration_ms,
    last_was_missed, requested_at
FROM main.schedules
WHERE is_service() OR has_permission(current_user_id(), 'schedule_view');
CREATE TEMP VIEW schedule_fires AS
SELECT name, fire_at, state, worker, attempt, started_at, lease_until, finished_at, result
FROM main.schedule_fires
WHERE is_service() OR has_permission(current_user_id(), 'schedule_view');

-- The schema's views, over what the actor sees; "today" is the transaction's day.
CREATE TEMP VIEW task_summary AS
SELECT t.id, t.title, t.status, t.priority,
       (SELECT u.username FROM users u WHERE u.id = t.assigned_to) AS assigned_to_name,
       t.created_at, t.updated_at, t.due_date,
       (SELECT COUNT(*) FROM approvals a WHERE a.task_id = t.id) AS approval_requests,
       CASE WHEN t.status IN ('completed', 'failed', 'cancelled') THEN 'on_track'
            WHEN t.due_date < date(now()) || 'T00:00:00.000000Z' THEN 'overdue'
            WHEN t.due_date <= date(now(), '+1 day') || 'T00:00:00.000000Z' THEN 'due_soon'
            ELSE 'on_track' END AS urgency_status
FROM tasks t;

CREATE TEMP VIEW daily_activity AS
SELECT g.activity_date, g.level, g.event_count,
       (SELECT group_concat(m.module, ', ') FROM (
           SELECT DISTINCT s.module FROM system_logs s
           WHERE s.level = g.level AND s.module IS NOT NULL
             AND s.timestamp >= g.activity_date || 'T00:00:00.000000Z' AND s.timestamp <= g.activity_date || 'T23:59:59.999999Z'
           ORDER BY s.module) m) AS modules_affected
FROM (SELECT substr(l.timestamp, 1, 10) AS activity_date, l.level, COUNT(*) AS event_count
      FROM system_logs l
      WHERE l.timestamp >= date(now(), '-30 days') || 'T00:00:00.000000Z'
      GROUP BY substr(l.timestamp, 1, 10), l.level) g
ORDER BY g.activity_date DESC, g.level;

-- On PostgreSQL this view reads as its owner: it shows what users hides, of oneself and to user administrators.
CREATE TEMP VIEW accounts AS
SELECT u.id, u.username, u.email, u.role, u.status, u.first_name, u.last_name, u.created_at, u.updated_at, u.last_login,
       u.preferences, u.is_agent
FROM main.accounts u
WHERE CASE WHEN is_service() THEN refuse('accounts') ELSE 1 END
  AND (u.id = current_user_id() AND has_permission(current_user_id(), 'sign_in') OR has_permission(current_user_id(), 'user_admin'));
