-- Privileges
-- FIX 02: the seed grants nothing to app_user; column lists keep password_hash unread and created_by unwritten.
GRANT USAGE ON SCHEMA public TO app_user, app_definer;
-- FIX 23: who can make a table or a function of his own, be it a temporary one, can put it in front of ours.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
DO $do$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $do$;
GRANT SELECT (id, username, role, status, first_name, last_name) ON users TO app_user;
GRANT SELECT, INSERT, DELETE ON tasks TO app_user;
GRANT UPDATE (title, description, status, priority, assigned_to, due_date, completed_at, estimated_duration, actual_duration, metadata, dependencies, tags) ON tasks TO app_user;
GRANT SELECT, INSERT ON approvals TO app_user;
GRANT UPDATE (status, approved_by, approved_at, rejected_by, rejected_at, notes) ON approvals TO app_user;
GRANT SELECT, INSERT ON system_logs, system_logs_partitioned TO app_user;
GRANT SELECT ON task_summary, daily_activity TO app_user;
GRANT SELECT ON users, role_permissions TO app_definer;
GRANT SELECT ON role_permissions TO app_user;
GRANT SELECT, UPDATE ON tasks TO app_definer;
GRANT INSERT ON audit_trail TO app_definer;
GRANT SELECT, DELETE ON sessions TO app_definer;
-- FIX 23: functions are executable by PUBLIC unless revoked.
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION has_permission(uuid, text) OWNER TO app_definer;
ALTER FUNCTION assign_task(uuid, uuid, uuid) OWNER TO app_definer;
ALTER FUNCTION search_tasks(text, integer) OWNER TO app_definer;
ALTER FUNCTION cleanup_expired_sessions() OWNER TO app_definer;
ALTER FUNCTION tasks_check_dependencies() OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION has_permission(uuid, text), assign_task(uuid, uuid, uuid), search_tasks(text, integer), cleanup_expired_sessions(), ensure_log_partitions(date, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_permission(uuid, text), assign_task(uuid, uuid, uuid), search_tasks(text, integer) TO app_user;

GRANT SELECT, INSERT, DELETE ON audit_chain TO app_definer;
REVOKE DELETE ON audit_chain FROM app_definer;
GRANT SELECT ON audit_trail, agents, approvals TO app_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON task_queue TO app_definer;
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION audit_row() OWNER TO app_definer;
ALTER FUNCTION audit_chain_append() OWNER TO app_definer;
ALTER FUNCTION task_queue_follow() OWNER TO app_definer;
ALTER FUNCTION task_queue_dependencies_first() OWNER TO app_definer;
ALTER FUNCTION approvals_release() OWNER TO app_definer;
ALTER FUNCTION dependencies_completed(uuid[]) OWNER TO app_definer;
ALTER VIEW accounts OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION signal_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION audit_row(), audit_chain_append(), task_queue_follow(), task_queue_dependencies_first(), approvals_release(), dependencies_completed(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_permission(uuid, text), cleanup_expired_sessions(), ensure_log_partitions(date, date) TO app_service;

-- What an ordinary actor may touch; the policies say which rows.
GRANT SELECT ON accounts, agents, policies, task_provenance, task_queue, runs, steps, approval_calls, approval_edits,
    server_tools, watchers, watcher_events, watcher_cursors, file_attachments, notifications, audit_trail, audit_chain TO app_user;
GRANT INSERT ON users, agents, mcp_servers, policies, task_provenance, runs, steps, approval_calls, approval_edits,
    watchers, watcher_events, watcher_cursors, file_attachments, notifications TO app_user;
GRANT UPDATE (username, email, password_hash, role, status, first_name, last_name, preferences) ON users TO app_user;
GRANT DELETE ON users, mcp_servers, policies, watchers TO app_user;
GRANT SELECT (id, name, server_type, command, args, status, last_heartbeat, capabilities, created_at, updated_at, is_active) ON mcp_servers TO app_user;
GRANT UPDATE (name, server_type, command, args, environment, is_active) ON mcp_servers TO app_user;
GRANT UPDATE (approved_sha256, approved_by, approved_at, repeatable) ON server_tools TO app_user;
GRANT UPDATE (position, name, server, tool, condition, outside, effect, approval_ttl_minutes, is_active) ON policies TO app_user;
GRANT UPDATE (name, config, is_active, last_run, last_error, error_count) ON watchers TO app_user;
GRANT UPDATE (cursor, updated_at) ON watcher_cursors TO app_user;
GRANT UPDATE (state, ready_at, worker, attempt, lease_until) ON task_queue TO app_user;
GRANT UPDATE (state, error, finished_at) ON runs TO app_user;
GRANT UPDATE (state, arguments, arguments_sha256, policy_id, policy_reason, approval_id, attempt, result, error, started_at, finished_at) ON steps TO app_user;
GRANT UPDATE (status, read_at) ON notifications TO app_user;
GRANT SELECT (id, user_id, expires_at, created_at, last_accessed, ip_address, user_agent, is_revoked) ON sessions TO app_user;
GRANT UPDATE (is_revoked) ON sessions TO app_user;

-- What Steward itself may touch where no person acts: it decides nothing and edits no task.
GRANT USAGE ON SCHEMA public TO app_service;
GRANT SELECT ON users, agents, role_permissions, tasks, approvals, mcp_servers, server_tools, policies, watchers, watcher_events,
    watcher_cursors, sessions, file_attachments, notifications, audit_trail, audit_chain, task_queue, task_provenance, runs, steps,
    approval_calls, approval_edits, setup_links, system_logs, task_summary, daily_activity TO app_service;
GRANT INSERT ON users, agents, sessions, notifications, system_logs, server_tools, setup_links TO app_service;
GRANT UPDATE (last_login, password_hash) ON users TO app_service;
GRANT UPDATE (expires_at, last_accessed, is_revoked) ON sessions TO app_service;
GRANT UPDATE (status) ON approvals TO app_service;
GRANT UPDATE (status, last_heartbeat, capabilities) ON mcp_servers TO app_service;
GRANT UPDATE (description, input_schema, definition_sha256, is_offered, last_seen) ON server_tools TO app_service;
GRANT UPDATE (last_run, last_error, error_count) ON watchers TO app_service;
GRANT UPDATE (state, ready_at, worker, attempt, lease_until) ON task_queue TO app_service;
GRANT UPDATE (sent_at) ON notifications TO app_service;
GRANT DELETE ON setup_links TO app_service;
-- A person changes a schedule; Steward notes how it went.
GRANT SELECT, UPDATE (next_fire_at, last_fire_at, last_status, last_result, last_duration_ms, last_was_missed) ON schedules TO app_service;
GRANT SELECT, INSERT, DELETE, UPDATE (state, worker, attempt, started_at, lease_until, finished_at, result) ON schedule_fires TO app_service;
GRANT UPDATE (cron, time_zone, is_active, run_by, next_fire_at, requested_at) ON schedules TO app_user;
GRANT DELETE ON file_attachments TO app_service;
REVOKE ALL ON FUNCTION follow_pg_cron(), refresh_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION follow_pg_cron(), refresh_statistics() TO app_service;
GRANT SELECT ON schedules, schedule_fires TO app_user;
-- What runs by the clock is the administrators' to see.
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['schedules','schedule_fires'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
    EXECUTE format('CREATE POLICY %s_view ON %I FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), ''schedule_view'')))', t, t);
  END LOOP;
END $do$;
