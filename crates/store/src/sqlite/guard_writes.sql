-- What an actor may write on SQLite. Run on every connection that writes, after guard_reads.sql; kept in no file. The rules
-- are the INSERT, UPDATE and DELETE policies of migrations/postgres/0017_row_level_security.sql with the grants of
-- 0021_privileges.sql. As there:
--   a row that no policy covers is passed over in silence (RAISE(IGNORE)); a new row that breaks WITH CHECK, a column or
--   a verb that is not granted is refused, with the table's name.
-- TEMP triggers come before the schema's own. A foreign key's own action (its parent row is gone already) is let pass,
-- for on PostgreSQL it runs as the table's owner; so are the database's own writes, by as_definer().
-- updated_at is the database's: setting it to another time than the transaction's is refused.

CREATE TEMP TRIGGER guard_users_insert BEFORE INSERT ON main.users
BEGIN
    SELECT RAISE(ABORT, 'refused: users') WHERE NOT is_service() AND NOT has_permission(current_user_id(), 'user_admin');
END;
CREATE TEMP TRIGGER guard_users_columns BEFORE UPDATE OF id, created_at ON main.users
BEGIN SELECT RAISE(ABORT, 'refused: users'); END;
CREATE TEMP TRIGGER guard_users_columns_user BEFORE UPDATE OF last_login ON main.users
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: users'); END;
CREATE TEMP TRIGGER guard_users_columns_service BEFORE UPDATE OF username, email, role, status, first_name, last_name ON main.users
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: users'); END;
CREATE TEMP TRIGGER guard_users_updated_at BEFORE UPDATE OF updated_at ON main.users WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: users'); END;
CREATE TEMP TRIGGER guard_users_update BEFORE UPDATE OF username, email, password_hash, role, status, first_name, last_name, preferences ON main.users
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'user_admin');
END;
CREATE TEMP TRIGGER guard_users_delete BEFORE DELETE ON main.users
BEGIN
    SELECT RAISE(ABORT, 'refused: users') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'user_admin');
END;

CREATE TEMP TRIGGER guard_agents_insert BEFORE INSERT ON main.agents
BEGIN
    SELECT RAISE(ABORT, 'refused: agents') WHERE NOT is_service() AND NOT has_permission(current_user_id(), 'user_admin');
END;
CREATE TEMP TRIGGER guard_agents_columns BEFORE UPDATE ON main.agents
BEGIN SELECT RAISE(ABORT, 'refused: agents'); END;
CREATE TEMP TRIGGER guard_agents_delete BEFORE DELETE ON main.agents
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: agents'); END;

CREATE TEMP TRIGGER guard_role_permissions_insert BEFORE INSERT ON main.role_permissions
BEGIN SELECT RAISE(ABORT, 'refused: role_permissions'); END;
CREATE TEMP TRIGGER guard_role_permissions_columns BEFORE UPDATE ON main.role_permissions
BEGIN SELECT RAISE(ABORT, 'refused: role_permissions'); END;
CREATE TEMP TRIGGER guard_role_permissions_delete BEFORE DELETE ON main.role_permissions
BEGIN SELECT RAISE(ABORT, 'refused: role_permissions'); END;

CREATE TEMP TRIGGER guard_tasks_insert BEFORE INSERT ON main.tasks
BEGIN
    SELECT RAISE(ABORT, 'refused: tasks')
    WHERE is_service() OR (NEW.created_by = current_user_id()
           AND has_permission(current_user_id(), 'task_create')
            OR has_permission(current_user_id(), 'task_admin')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_tasks_columns BEFORE UPDATE OF id, created_by, created_at ON main.tasks
BEGIN SELECT RAISE(ABORT, 'refused: tasks'); END;
CREATE TEMP TRIGGER guard_tasks_columns_service BEFORE UPDATE OF title, description, status, priority, assigned_to, due_date, completed_at,
    estimated_duration, actual_duration, metadata, dependencies, tags ON main.tasks
WHEN is_service()
  AND NOT (OLD.assigned_to IS NOT NULL AND NEW.assigned_to IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.assigned_to))
BEGIN SELECT RAISE(ABORT, 'refused: tasks'); END;
CREATE TEMP TRIGGER guard_tasks_updated_at BEFORE UPDATE OF updated_at ON main.tasks WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: tasks'); END;
CREATE TEMP TRIGGER guard_tasks_update BEFORE UPDATE OF title, description, status, priority, assigned_to, due_date, completed_at,
    estimated_duration, actual_duration, metadata, dependencies, tags ON main.tasks
WHEN NOT is_service()
  AND NOT (OLD.assigned_to IS NOT NULL AND NEW.assigned_to IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.assigned_to))
BEGIN
    SELECT RAISE(IGNORE)
    WHERE ((OLD.assigned_to = current_user_id() OR OLD.created_by = current_user_id()
            OR has_permission(current_user_id(), 'task_admin'))
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
    SELECT RAISE(ABORT, 'refused: tasks')
    WHERE ((NEW.assigned_to = current_user_id() OR NEW.created_by = current_user_id()
            OR has_permission(current_user_id(), 'task_admin'))
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_tasks_delete BEFORE DELETE ON main.tasks
BEGIN
    SELECT RAISE(ABORT, 'refused: tasks') WHERE is_service();
    SELECT RAISE(IGNORE)
    WHERE ((OLD.created_by = current_user_id()
            OR has_permission(current_user_id(), 'task_admin'))
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;

CREATE TEMP TRIGGER guard_approvals_insert BEFORE INSERT ON main.approvals
BEGIN
    SELECT RAISE(ABORT, 'refused: approvals')
    WHERE is_service() OR (NEW.requested_by = current_user_id() AND NEW.status = 'pending'
           AND has_permission(current_user_id(), 'task_create')
        AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id)) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approvals_columns BEFORE UPDATE OF id, task_id, action_type, details, requested_by, created_at ON main.approvals
BEGIN SELECT RAISE(ABORT, 'refused: approvals'); END;
CREATE TEMP TRIGGER guard_approvals_columns_service BEFORE UPDATE OF approved_by, approved_at, rejected_by, rejected_at, notes, expires_at ON main.approvals
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: approvals'); END;
CREATE TEMP TRIGGER guard_approvals_updated_at BEFORE UPDATE OF updated_at ON main.approvals WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: approvals'); END;
CREATE TEMP TRIGGER guard_approvals_update BEFORE UPDATE OF status, approved_by, approved_at, rejected_by, rejected_at, notes ON main.approvals
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (OLD.status = 'pending' AND (has_permission(current_user_id(), 'approval_decide')
        OR (has_permission(current_user_id(), 'approval_decide_own') AND EXISTS (
          SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND t.created_by = current_user_id())))) IS NOT TRUE;
    SELECT RAISE(ABORT, 'refused: approvals')
    WHERE ((NEW.status IN ('approved', 'rejected') AND coalesce(NEW.approved_by, NEW.rejected_by) = current_user_id())
        OR (NEW.status = 'pending' AND NEW.approved_by IS NULL AND NEW.rejected_by IS NULL AND NEW.notes IS NULL)) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approvals_extend BEFORE UPDATE OF expires_at ON main.approvals
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (OLD.status = 'pending' AND (has_permission(current_user_id(), 'approval_decide')
        OR (has_permission(current_user_id(), 'approval_decide_own') AND EXISTS (
          SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND t.created_by = current_user_id())))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approvals_update_service BEFORE UPDATE OF status ON main.approvals WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: approvals') WHERE (NEW.status IN ('pending', 'expired')) IS NOT TRUE; END;
CREATE TEMP TRIGGER guard_approvals_delete BEFORE DELETE ON main.approvals
WHEN NOT (OLD.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
BEGIN SELECT RAISE(ABORT, 'refused: approvals'); END;

CREATE TEMP TRIGGER guard_system_logs_insert BEFORE INSERT ON main.system_logs
BEGIN
    SELECT RAISE(ABORT, 'refused: system_logs')
    WHERE NOT is_service() AND (has_permission(current_user_id(), 'sign_in')
           AND (NEW.user_id IS NULL OR NEW.user_id = current_user_id())) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_system_logs_columns BEFORE UPDATE ON main.system_logs
WHEN NOT ((OLD.user_id IS NOT NULL AND NEW.user_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
      OR (OLD.task_id IS NOT NULL AND NEW.task_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id)))
BEGIN SELECT RAISE(ABORT, 'refused: system_logs'); END;
-- What is over for a month was exported before Steward removes it.
CREATE TEMP TRIGGER guard_system_logs_delete BEFORE DELETE ON main.system_logs
WHEN NOT (is_service() AND OLD.timestamp < strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', '-1 month'))
BEGIN SELECT RAISE(ABORT, 'refused: system_logs'); END;

CREATE TEMP TRIGGER guard_mcp_servers_insert BEFORE INSERT ON main.mcp_servers
BEGIN
    SELECT RAISE(ABORT, 'refused: mcp_servers') WHERE is_service() OR NOT has_permission(current_user_id(), 'server_admin');
END;
CREATE TEMP TRIGGER guard_mcp_servers_columns BEFORE UPDATE OF id, created_at ON main.mcp_servers
BEGIN SELECT RAISE(ABORT, 'refused: mcp_servers'); END;
CREATE TEMP TRIGGER guard_mcp_servers_columns_user BEFORE UPDATE OF status, last_heartbeat, capabilities ON main.mcp_servers
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: mcp_servers'); END;
CREATE TEMP TRIGGER guard_mcp_servers_columns_service BEFORE UPDATE OF name, server_type, command, args, environment, is_active ON main.mcp_servers
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: mcp_servers'); END;
CREATE TEMP TRIGGER guard_mcp_servers_updated_at BEFORE UPDATE OF updated_at ON main.mcp_servers WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: mcp_servers'); END;
CREATE TEMP TRIGGER guard_mcp_servers_update BEFORE UPDATE OF name, server_type, command, args, environment, is_active ON main.mcp_servers
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'server_admin');
END;
CREATE TEMP TRIGGER guard_mcp_servers_delete BEFORE DELETE ON main.mcp_servers
BEGIN
    SELECT RAISE(ABORT, 'refused: mcp_servers') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'server_admin');
END;

CREATE TEMP TRIGGER guard_server_tools_insert BEFORE INSERT ON main.server_tools
BEGIN
    SELECT RAISE(ABORT, 'refused: server_tools') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_server_tools_columns BEFORE UPDATE OF server_id, name, first_seen ON main.server_tools
BEGIN SELECT RAISE(ABORT, 'refused: server_tools'); END;
CREATE TEMP TRIGGER guard_server_tools_columns_user BEFORE UPDATE OF description, input_schema, definition_sha256, is_offered, last_seen ON main.server_tools
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: server_tools'); END;
CREATE TEMP TRIGGER guard_server_tools_columns_service BEFORE UPDATE OF approved_sha256, approved_by, approved_at, repeatable ON main.server_tools
WHEN is_service()
  AND NOT (OLD.approved_by IS NOT NULL AND NEW.approved_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.approved_by))
BEGIN SELECT RAISE(ABORT, 'refused: server_tools'); END;
CREATE TEMP TRIGGER guard_server_tools_update BEFORE UPDATE OF approved_sha256, approved_by, approved_at, repeatable ON main.server_tools
WHEN NOT is_service()
  AND NOT (OLD.approved_by IS NOT NULL AND NEW.approved_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.approved_by))
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'server_admin');
END;
CREATE TEMP TRIGGER guard_server_tools_delete BEFORE DELETE ON main.server_tools
WHEN NOT (OLD.server_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.mcp_servers p WHERE p.id = OLD.server_id))
BEGIN SELECT RAISE(ABORT, 'refused: server_tools'); END;

CREATE TEMP TRIGGER guard_policies_insert BEFORE INSERT ON main.policies
BEGIN
    SELECT RAISE(ABORT, 'refused: policies') WHERE is_service() OR NOT has_permission(current_user_id(), 'policy_admin');
END;
CREATE TEMP TRIGGER guard_policies_columns BEFORE UPDATE OF id, created_by, created_at ON main.policies
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
BEGIN SELECT RAISE(ABORT, 'refused: policies'); END;
CREATE TEMP TRIGGER guard_policies_columns_service BEFORE UPDATE OF position, name, server, tool, condition, outside, effect, approval_ttl_minutes,
    is_active, risk, approvers, never_repeat, remind_minutes, escalate_minutes, escalate_to ON main.policies
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: policies'); END;
CREATE TEMP TRIGGER guard_policies_updated_at BEFORE UPDATE OF updated_at ON main.policies WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: policies'); END;
CREATE TEMP TRIGGER guard_policies_update BEFORE UPDATE OF position, name, server, tool, condition, outside, effect, approval_ttl_minutes,
    is_active, risk, approvers, never_repeat, remind_minutes, escalate_minutes, escalate_to ON main.policies
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'policy_admin');
END;
CREATE TEMP TRIGGER guard_policies_delete BEFORE DELETE ON main.policies
BEGIN
    SELECT RAISE(ABORT, 'refused: policies') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'policy_admin');
END;

CREATE TEMP TRIGGER guard_watchers_insert BEFORE INSERT ON main.watchers
BEGIN
    SELECT RAISE(ABORT, 'refused: watchers')
    WHERE is_service() OR (NEW.created_by = current_user_id()
           AND has_permission(current_user_id(), 'watcher_create')
            OR has_permission(current_user_id(), 'watcher_admin')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_watchers_columns BEFORE UPDATE OF id, watcher_type, created_at, created_by ON main.watchers
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
BEGIN SELECT RAISE(ABORT, 'refused: watchers'); END;
CREATE TEMP TRIGGER guard_watchers_columns_service BEFORE UPDATE OF name, config, is_active ON main.watchers
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: watchers'); END;
CREATE TEMP TRIGGER guard_watchers_updated_at BEFORE UPDATE OF updated_at ON main.watchers WHEN NEW.updated_at IS NOT now()
BEGIN SELECT RAISE(ABORT, 'refused: watchers'); END;
CREATE TEMP TRIGGER guard_watchers_update BEFORE UPDATE OF name, config, is_active, last_run, last_error, error_count ON main.watchers
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE ((OLD.created_by = current_user_id()
           AND has_permission(current_user_id(), 'watcher_create')
            OR has_permission(current_user_id(), 'watcher_admin'))
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_watchers_delete BEFORE DELETE ON main.watchers
BEGIN
    SELECT RAISE(ABORT, 'refused: watchers') WHERE is_service();
    SELECT RAISE(IGNORE)
    WHERE (OLD.created_by = current_user_id()
           AND has_permission(current_user_id(), 'watcher_create')
            OR has_permission(current_user_id(), 'watcher_admin')) IS NOT TRUE;
END;

CREATE TEMP TRIGGER guard_watcher_events_insert BEFORE INSERT ON main.watcher_events
BEGIN
    SELECT RAISE(ABORT, 'refused: watcher_events')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM watchers w WHERE w.id = NEW.watcher_id AND w.created_by = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_watcher_events_columns BEFORE UPDATE ON main.watcher_events
WHEN NOT (OLD.task_id IS NOT NULL AND NEW.task_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
BEGIN SELECT RAISE(ABORT, 'refused: watcher_events'); END;
CREATE TEMP TRIGGER guard_watcher_events_delete BEFORE DELETE ON main.watcher_events
WHEN NOT (OLD.watcher_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.watchers p WHERE p.id = OLD.watcher_id))
BEGIN SELECT RAISE(ABORT, 'refused: watcher_events'); END;

CREATE TEMP TRIGGER guard_watcher_cursors_insert BEFORE INSERT ON main.watcher_cursors
BEGIN
    SELECT RAISE(ABORT, 'refused: watcher_cursors')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM watchers w WHERE w.id = NEW.watcher_id AND w.created_by = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_watcher_cursors_columns BEFORE UPDATE OF watcher_id ON main.watcher_cursors
BEGIN SELECT RAISE(ABORT, 'refused: watcher_cursors'); END;
CREATE TEMP TRIGGER guard_watcher_cursors_columns_service BEFORE UPDATE OF cursor, updated_at ON main.watcher_cursors
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: watcher_cursors'); END;
CREATE TEMP TRIGGER guard_watcher_cursors_update BEFORE UPDATE OF cursor, updated_at ON main.watcher_cursors
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (EXISTS (SELECT 1 FROM watchers w WHERE w.id = OLD.watcher_id AND w.created_by = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_watcher_cursors_delete BEFORE DELETE ON main.watcher_cursors
WHEN NOT (OLD.watcher_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.watchers p WHERE p.id = OLD.watcher_id))
BEGIN SELECT RAISE(ABORT, 'refused: watcher_cursors'); END;

CREATE TEMP TRIGGER guard_sessions_insert BEFORE INSERT ON main.sessions
BEGIN
    SELECT RAISE(ABORT, 'refused: sessions') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_sessions_columns BEFORE UPDATE OF id, user_id, token, created_at, ip_address, user_agent ON main.sessions
BEGIN SELECT RAISE(ABORT, 'refused: sessions'); END;
CREATE TEMP TRIGGER guard_sessions_columns_user BEFORE UPDATE OF expires_at, last_accessed, authenticated_at ON main.sessions
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: sessions'); END;
CREATE TEMP TRIGGER guard_sessions_update BEFORE UPDATE OF is_revoked ON main.sessions
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE (OLD.user_id = current_user_id() AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
    -- A session that was ended stays so.
    SELECT RAISE(ABORT, 'refused: sessions') WHERE NOT NEW.is_revoked;
END;
CREATE TEMP TRIGGER guard_sessions_delete BEFORE DELETE ON main.sessions
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: sessions') WHERE NOT is_service() OR (OLD.expires_at < now() OR OLD.is_revoked) IS NOT TRUE; END;

CREATE TEMP TRIGGER guard_file_attachments_insert BEFORE INSERT ON main.file_attachments
BEGIN
    SELECT RAISE(ABORT, 'refused: file_attachments')
    WHERE is_service() OR (NEW.uploaded_by = current_user_id()
           AND has_permission(current_user_id(), 'task_create')
           AND (NEW.task_id IS NULL OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_file_attachments_columns BEFORE UPDATE OF id, filename, original_filename, mime_type, file_size, uploaded_by, task_id,
    created_at, expires_at, is_encrypted, hash_checksum ON main.file_attachments
WHEN NOT ((OLD.uploaded_by IS NOT NULL AND NEW.uploaded_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.uploaded_by))
      OR (OLD.task_id IS NOT NULL AND NEW.task_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id)))
BEGIN SELECT RAISE(ABORT, 'refused: file_attachments'); END;
-- Steward keeps an older file anew in another place.
CREATE TEMP TRIGGER guard_file_attachments_place BEFORE UPDATE OF storage_path ON main.file_attachments
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: file_attachments'); END;
-- Steward removes a row when its time is over, others what hangs on a task that they may change, or is theirs and on none.
CREATE TEMP TRIGGER guard_file_attachments_delete BEFORE DELETE ON main.file_attachments
BEGIN
    SELECT RAISE(IGNORE) WHERE is_service() AND (OLD.expires_at <= now()) IS NOT TRUE;
    SELECT RAISE(IGNORE) WHERE NOT is_service() AND (has_permission(current_user_id(), 'task_create')
        AND (OLD.task_id IS NULL AND OLD.uploaded_by = current_user_id()
             OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND (t.created_by = current_user_id()
                        OR t.assigned_to = current_user_id() OR has_permission(current_user_id(), 'task_admin'))))) IS NOT TRUE;
END;

CREATE TEMP TRIGGER guard_task_provenance_insert BEFORE INSERT ON main.task_provenance
BEGIN
    SELECT RAISE(ABORT, 'refused: task_provenance')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.created_by = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_task_provenance_columns BEFORE UPDATE ON main.task_provenance
BEGIN SELECT RAISE(ABORT, 'refused: task_provenance'); END;
CREATE TEMP TRIGGER guard_task_provenance_delete BEFORE DELETE ON main.task_provenance
WHEN NOT (OLD.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
BEGIN SELECT RAISE(ABORT, 'refused: task_provenance'); END;

CREATE TEMP TRIGGER guard_runs_insert BEFORE INSERT ON main.runs
BEGIN
    SELECT RAISE(ABORT, 'refused: runs')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_runs_columns BEFORE UPDATE OF id, task_id, number, playbook, playbook_source, playbook_sha256, started_by, started_at ON main.runs
WHEN NOT (OLD.started_by IS NOT NULL AND NEW.started_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.started_by))
BEGIN SELECT RAISE(ABORT, 'refused: runs'); END;
CREATE TEMP TRIGGER guard_runs_columns_service BEFORE UPDATE OF state, error, finished_at ON main.runs
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: runs'); END;
CREATE TEMP TRIGGER guard_runs_update BEFORE UPDATE OF state, error, finished_at ON main.runs
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (EXISTS (SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_runs_delete BEFORE DELETE ON main.runs
WHEN NOT (OLD.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
BEGIN SELECT RAISE(ABORT, 'refused: runs'); END;

CREATE TEMP TRIGGER guard_steps_insert BEFORE INSERT ON main.steps
BEGIN
    SELECT RAISE(ABORT, 'refused: steps')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_steps_columns BEFORE UPDATE OF id, run_id, task_id, ordinal, name, server, tool, created_at ON main.steps
BEGIN SELECT RAISE(ABORT, 'refused: steps'); END;
CREATE TEMP TRIGGER guard_steps_columns_service BEFORE UPDATE OF state, arguments, arguments_sha256, policy_id, policy_reason, approval_id, attempt,
    result, error, started_at, finished_at ON main.steps
WHEN is_service()
  AND NOT ((OLD.policy_id IS NOT NULL AND NEW.policy_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.policies p WHERE p.id = OLD.policy_id))
      OR (OLD.approval_id IS NOT NULL AND NEW.approval_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.approvals p WHERE p.id = OLD.approval_id)))
BEGIN SELECT RAISE(ABORT, 'refused: steps'); END;
CREATE TEMP TRIGGER guard_steps_update BEFORE UPDATE OF state, arguments, arguments_sha256, policy_id, policy_reason, approval_id, attempt,
    result, error, started_at, finished_at ON main.steps
WHEN NOT is_service()
  AND NOT ((OLD.policy_id IS NOT NULL AND NEW.policy_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.policies p WHERE p.id = OLD.policy_id))
      OR (OLD.approval_id IS NOT NULL AND NEW.approval_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.approvals p WHERE p.id = OLD.approval_id)))
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (EXISTS (SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_steps_delete BEFORE DELETE ON main.steps
WHEN NOT ((OLD.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.runs p WHERE p.id = OLD.run_id))
      OR (OLD.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id)))
BEGIN SELECT RAISE(ABORT, 'refused: steps'); END;

CREATE TEMP TRIGGER guard_approval_calls_insert BEFORE INSERT ON main.approval_calls
BEGIN
    SELECT RAISE(ABORT, 'refused: approval_calls')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM approvals a WHERE a.id = NEW.approval_id AND a.requested_by = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approval_calls_columns BEFORE UPDATE ON main.approval_calls
BEGIN SELECT RAISE(ABORT, 'refused: approval_calls'); END;
CREATE TEMP TRIGGER guard_approval_calls_delete BEFORE DELETE ON main.approval_calls
WHEN NOT ((OLD.approval_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.approvals p WHERE p.id = OLD.approval_id))
      OR (OLD.step_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.steps p WHERE p.id = OLD.step_id)))
BEGIN SELECT RAISE(ABORT, 'refused: approval_calls'); END;

CREATE TEMP TRIGGER guard_approval_edits_insert BEFORE INSERT ON main.approval_edits
BEGIN
    SELECT RAISE(ABORT, 'refused: approval_edits')
    WHERE is_service() OR (NEW.edited_by = current_user_id() AND EXISTS (SELECT 1 FROM approvals a LEFT JOIN tasks t ON t.id = a.task_id
        WHERE a.id = NEW.approval_id AND a.status = 'pending' AND (has_permission(current_user_id(), 'approval_decide')
          OR (has_permission(current_user_id(), 'approval_decide_own') AND t.created_by = current_user_id())))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approval_edits_columns BEFORE UPDATE ON main.approval_edits
BEGIN SELECT RAISE(ABORT, 'refused: approval_edits'); END;
CREATE TEMP TRIGGER guard_approval_edits_delete BEFORE DELETE ON main.approval_edits
WHEN NOT (OLD.approval_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.approvals p WHERE p.id = OLD.approval_id))
BEGIN SELECT RAISE(ABORT, 'refused: approval_edits'); END;

CREATE TEMP TRIGGER guard_login_tries_insert BEFORE INSERT ON main.login_tries
BEGIN
    SELECT RAISE(ABORT, 'refused: login_tries') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_login_tries_key BEFORE UPDATE OF key ON main.login_tries
BEGIN SELECT RAISE(ABORT, 'refused: login_tries'); END;
CREATE TEMP TRIGGER guard_login_tries_columns BEFORE UPDATE ON main.login_tries
BEGIN SELECT RAISE(ABORT, 'refused: login_tries') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_login_tries_delete BEFORE DELETE ON main.login_tries
BEGIN SELECT RAISE(ABORT, 'refused: login_tries') WHERE NOT is_service(); END;

CREATE TEMP TRIGGER guard_second_factors_insert BEFORE INSERT ON main.second_factors
BEGIN
    SELECT RAISE(ABORT, 'refused: second_factors') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_second_factors_key BEFORE UPDATE OF user_id ON main.second_factors
BEGIN SELECT RAISE(ABORT, 'refused: second_factors'); END;
CREATE TEMP TRIGGER guard_second_factors_columns BEFORE UPDATE ON main.second_factors
BEGIN SELECT RAISE(ABORT, 'refused: second_factors') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_second_factors_delete BEFORE DELETE ON main.second_factors
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN
    SELECT RAISE(ABORT, 'refused: second_factors') WHERE is_service();
    SELECT RAISE(IGNORE)
    WHERE ((OLD.user_id = current_user_id() OR has_permission(current_user_id(), 'user_admin'))
           AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
END;

CREATE TEMP TRIGGER guard_recovery_codes_insert BEFORE INSERT ON main.recovery_codes
BEGIN
    SELECT RAISE(ABORT, 'refused: recovery_codes') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_recovery_codes_key BEFORE UPDATE OF user_id, code ON main.recovery_codes
BEGIN SELECT RAISE(ABORT, 'refused: recovery_codes'); END;
CREATE TEMP TRIGGER guard_recovery_codes_columns BEFORE UPDATE ON main.recovery_codes
BEGIN SELECT RAISE(ABORT, 'refused: recovery_codes') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_recovery_codes_delete BEFORE DELETE ON main.recovery_codes
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.second_factors p WHERE p.user_id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: recovery_codes') WHERE NOT is_service(); END;

CREATE TEMP TRIGGER guard_setup_links_insert BEFORE INSERT ON main.setup_links
BEGIN
    SELECT RAISE(ABORT, 'refused: setup_links') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_setup_links_columns BEFORE UPDATE ON main.setup_links
BEGIN SELECT RAISE(ABORT, 'refused: setup_links'); END;
CREATE TEMP TRIGGER guard_setup_links_delete BEFORE DELETE ON main.setup_links
BEGIN SELECT RAISE(ABORT, 'refused: setup_links') WHERE NOT is_service(); END;

-- The queue is the database's (trg_tasks_queue, trg_approvals_release): nobody inserts or deletes, and who works on a task moves it on.
CREATE TEMP TRIGGER guard_task_queue_insert BEFORE INSERT ON main.task_queue WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: task_queue'); END;
CREATE TEMP TRIGGER guard_task_queue_update BEFORE UPDATE ON main.task_queue WHEN NOT take_definer()
BEGIN
    SELECT RAISE(ABORT, 'refused: task_queue')
    WHERE NEW.task_id IS NOT OLD.task_id OR NEW.assignee IS NOT OLD.assignee OR NEW.priority_rank IS NOT OLD.priority_rank;
    SELECT RAISE(IGNORE) WHERE NOT is_service() AND (OLD.assignee = current_user_id() AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_task_queue_delete BEFORE DELETE ON main.task_queue
WHEN NOT take_definer() AND EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id) AND EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.assignee)
BEGIN SELECT RAISE(ABORT, 'refused: task_queue'); END;

CREATE TEMP TRIGGER guard_audit_trail_insert BEFORE INSERT ON main.audit_trail WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: audit_trail'); END;
CREATE TEMP TRIGGER guard_audit_trail_update BEFORE UPDATE ON main.audit_trail
BEGIN SELECT RAISE(ABORT, 'refused: audit_trail'); END;
CREATE TEMP TRIGGER guard_audit_trail_delete BEFORE DELETE ON main.audit_trail
BEGIN SELECT RAISE(ABORT, 'refused: audit_trail'); END;

CREATE TEMP TRIGGER guard_audit_chain_insert BEFORE INSERT ON main.audit_chain WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: audit_chain'); END;
CREATE TEMP TRIGGER guard_audit_chain_update BEFORE UPDATE ON main.audit_chain
BEGIN SELECT RAISE(ABORT, 'refused: audit_chain'); END;
CREATE TEMP TRIGGER guard_audit_chain_delete BEFORE DELETE ON main.audit_chain
BEGIN SELECT RAISE(ABORT, 'refused: audit_chain'); END;

CREATE TEMP TRIGGER guard_system_logs_partitioned_insert INSTEAD OF INSERT ON main.system_logs_partitioned
BEGIN SELECT RAISE(ABORT, 'refused: system_logs_partitioned') WHERE is_service(); END;
