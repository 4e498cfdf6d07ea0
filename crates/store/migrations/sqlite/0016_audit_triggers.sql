-- Every change of a row that matters writes its audit row in the same transaction, by the database itself. What
-- audit_row() on PostgreSQL does for any row is spelled out here for each table: audit_values() and audit_changes()
-- (crates/store/src/sqlite/functions.rs) take the columns' names with their kinds. A secret shows that it changed, not
-- its value; columns whose change alone is not worth a row are left out, and updated_at always. (LIMIT 1 keeps SQLite
-- from working the comparison out twice.)

CREATE TRIGGER trg_users_audit_ins AFTER INSERT ON users
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'user_created', 'user', NEW.id, NULL, audit_values(
        'id', NEW.id, 'username', NEW.username, 'email', NEW.email, 'password_hash:secret', NEW.password_hash,
        'role', NEW.role, 'status', NEW.status, 'first_name', NEW.first_name, 'last_name', NEW.last_name,
        'created_at:time', NEW.created_at, 'last_login:time', NEW.last_login, 'preferences:json', NEW.preferences),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_users_audit AFTER UPDATE OF id, username, email, password_hash, role, status, first_name, last_name, created_at, last_login,
    preferences ON users
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'user_updated', 'user', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'username', OLD.username, NEW.username, 'email', OLD.email, NEW.email,
        'password_hash:secret', OLD.password_hash, NEW.password_hash, 'role', OLD.role, NEW.role,
        'status', OLD.status, NEW.status, 'first_name', OLD.first_name, NEW.first_name,
        'last_name', OLD.last_name, NEW.last_name, 'created_at:time', OLD.created_at, NEW.created_at,
        'last_login:time', OLD.last_login, NEW.last_login, 'preferences:json', OLD.preferences, NEW.preferences) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_users_audit_del AFTER DELETE ON users
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'user_deleted', 'user', OLD.id, audit_values(
        'id', OLD.id, 'username', OLD.username, 'email', OLD.email, 'password_hash:secret', OLD.password_hash,
        'role', OLD.role, 'status', OLD.status, 'first_name', OLD.first_name, 'last_name', OLD.last_name,
        'created_at:time', OLD.created_at, 'last_login:time', OLD.last_login, 'preferences:json', OLD.preferences), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_role_permissions_audit_ins AFTER INSERT ON role_permissions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'role_permission_created', 'role_permission', NULL, NULL, audit_values(
        'role', NEW.role, 'permission', NEW.permission),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_role_permissions_audit AFTER UPDATE OF role, permission ON role_permissions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'role_permission_updated', 'role_permission', NULL, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'role', OLD.role, NEW.role, 'permission', OLD.permission, NEW.permission) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_role_permissions_audit_del AFTER DELETE ON role_permissions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'role_permission_deleted', 'role_permission', NULL, audit_values(
        'role', OLD.role, 'permission', OLD.permission), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_agents_audit_ins AFTER INSERT ON agents
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'agent_created', 'agent', NEW.user_id, NULL, audit_values(
        'user_id', NEW.user_id, 'kind', NEW.kind, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_agents_audit AFTER UPDATE OF user_id, kind, created_at ON agents
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'agent_updated', 'agent', NEW.user_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'user_id', OLD.user_id, NEW.user_id, 'kind', OLD.kind, NEW.kind, 'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_agents_audit_del AFTER DELETE ON agents
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'agent_deleted', 'agent', OLD.user_id, audit_values(
        'user_id', OLD.user_id, 'kind', OLD.kind, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
-- completed_at is shown as trg_tasks_completed_at leaves it; the UPDATE by which that trigger fills it in starts from a
-- row that breaks chk_completed_at, and is no change of its own.
CREATE TRIGGER trg_tasks_audit_ins AFTER INSERT ON tasks
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'task_created', 'task', NEW.id, NULL, audit_values(
        'id', NEW.id, 'title', NEW.title, 'description', NEW.description, 'status', NEW.status, 'priority', NEW.priority,
        'assigned_to', NEW.assigned_to, 'created_by', NEW.created_by, 'created_at:time', NEW.created_at,
        'due_date:time', NEW.due_date,
        'completed_at:time', CASE WHEN NEW.status = 'completed' THEN coalesce(NEW.completed_at, now()) END,
        'estimated_duration', NEW.estimated_duration, 'actual_duration', NEW.actual_duration, 'metadata:json', NEW.metadata,
        'dependencies:json', NEW.dependencies, 'tags:json', NEW.tags),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_tasks_audit AFTER UPDATE OF id, title, description, status, priority, assigned_to, created_by, created_at, due_date,
    completed_at, estimated_duration, actual_duration, metadata, dependencies, tags ON tasks
WHEN (OLD.status = 'completed') = (OLD.completed_at IS NOT NULL)
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), CASE audit_part(c, 2) WHEN 'assigned_to' THEN 'task_assigned' ELSE 'task_updated' END, 'task', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'title', OLD.title, NEW.title, 'description', OLD.description, NEW.description,
        'status', OLD.status, NEW.status, 'priority', OLD.priority, NEW.priority,
        'assigned_to', OLD.assigned_to, NEW.assigned_to, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'due_date:time', OLD.due_date, NEW.due_date,
        'completed_at:time', OLD.completed_at, CASE WHEN NEW.status = 'completed' THEN coalesce(NEW.completed_at, now()) END,
        'estimated_duration', OLD.estimated_duration, NEW.estimated_duration,
        'actual_duration', OLD.actual_duration, NEW.actual_duration, 'metadata:json', OLD.metadata, NEW.metadata,
        'dependencies:json', OLD.dependencies, NEW.dependencies, 'tags:json', OLD.tags, NEW.tags) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_tasks_audit_del AFTER DELETE ON tasks
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'task_deleted', 'task', OLD.id, audit_values(
        'id', OLD.id, 'title', OLD.title, 'description', OLD.description, 'status', OLD.status, 'priority', OLD.priority,
        'assigned_to', OLD.assigned_to, 'created_by', OLD.created_by, 'created_at:time', OLD.created_at,
        'due_date:time', OLD.due_date, 'completed_at:time', OLD.completed_at, 'estimated_duration', OLD.estimated_duration,
        'actual_duration', OLD.actual_duration, 'metadata:json', OLD.metadata, 'dependencies:json', OLD.dependencies,
        'tags:json', OLD.tags), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approvals_audit_ins AFTER INSERT ON approvals
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_created', 'approval', NEW.id, NULL, audit_values(
        'id', NEW.id, 'task_id', NEW.task_id, 'action_type', NEW.action_type, 'details:json', NEW.details,
        'status', NEW.status, 'requested_by', NEW.requested_by, 'approved_by', NEW.approved_by,
        'approved_at:time', NEW.approved_at, 'rejected_by', NEW.rejected_by, 'rejected_at:time', NEW.rejected_at,
        'expires_at:time', NEW.expires_at, 'created_at:time', NEW.created_at, 'notes', NEW.notes),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approvals_audit AFTER UPDATE OF id, task_id, action_type, details, status, requested_by, approved_by, approved_at, rejected_by,
    rejected_at, expires_at, created_at, notes ON approvals
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_updated', 'approval', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'task_id', OLD.task_id, NEW.task_id, 'action_type', OLD.action_type, NEW.action_type,
        'details:json', OLD.details, NEW.details, 'status', OLD.status, NEW.status,
        'requested_by', OLD.requested_by, NEW.requested_by, 'approved_by', OLD.approved_by, NEW.approved_by,
        'approved_at:time', OLD.approved_at, NEW.approved_at, 'rejected_by', OLD.rejected_by, NEW.rejected_by,
        'rejected_at:time', OLD.rejected_at, NEW.rejected_at, 'expires_at:time', OLD.expires_at, NEW.expires_at,
        'created_at:time', OLD.created_at, NEW.created_at, 'notes', OLD.notes, NEW.notes) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_approvals_audit_del AFTER DELETE ON approvals
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_deleted', 'approval', OLD.id, audit_values(
        'id', OLD.id, 'task_id', OLD.task_id, 'action_type', OLD.action_type, 'details:json', OLD.details,
        'status', OLD.status, 'requested_by', OLD.requested_by, 'approved_by', OLD.approved_by,
        'approved_at:time', OLD.approved_at, 'rejected_by', OLD.rejected_by, 'rejected_at:time', OLD.rejected_at,
        'expires_at:time', OLD.expires_at, 'created_at:time', OLD.created_at, 'notes', OLD.notes), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_task_provenance_audit AFTER INSERT ON task_provenance BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'task_provenance_created', 'task_provenance', NEW.task_id, NULL, audit_values('task_id', NEW.task_id, 'outside:bool', NEW.outside, 'source', NEW.source, 'detail:json', NEW.detail, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_task_provenance_audit_del AFTER DELETE ON task_provenance BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'task_provenance_deleted', 'task_provenance', OLD.task_id, audit_values('task_id', OLD.task_id, 'outside:bool', OLD.outside, 'source', OLD.source, 'detail:json', OLD.detail, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_calls_audit AFTER INSERT ON approval_calls BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_call_created', 'approval_call', NEW.approval_id, NULL, audit_values('approval_id', NEW.approval_id, 'step_id', NEW.step_id, 'server', NEW.server, 'tool', NEW.tool, 'definition_sha256', NEW.definition_sha256, 'arguments', NEW.arguments, 'arguments_sha256', NEW.arguments_sha256, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_calls_audit_del AFTER DELETE ON approval_calls BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_call_deleted', 'approval_call', OLD.approval_id, audit_values('approval_id', OLD.approval_id, 'step_id', OLD.step_id, 'server', OLD.server, 'tool', OLD.tool, 'definition_sha256', OLD.definition_sha256, 'arguments', OLD.arguments, 'arguments_sha256', OLD.arguments_sha256, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_edits_audit_ins AFTER INSERT ON approval_edits
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_edit_created', 'approval_edit', NEW.approval_id, NULL, audit_values(
        'approval_id', NEW.approval_id, 'arguments', NEW.arguments, 'arguments_sha256', NEW.arguments_sha256,
        'edited_by', NEW.edited_by, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_edits_audit AFTER UPDATE OF approval_id, arguments, arguments_sha256, edited_by, created_at ON approval_edits
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_edit_updated', 'approval_edit', NEW.approval_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'approval_id', OLD.approval_id, NEW.approval_id, 'arguments', OLD.arguments, NEW.arguments,
        'arguments_sha256', OLD.arguments_sha256, NEW.arguments_sha256, 'edited_by', OLD.edited_by, NEW.edited_by,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_approval_edits_audit_del AFTER DELETE ON approval_edits
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_edit_deleted', 'approval_edit', OLD.approval_id, audit_values(
        'approval_id', OLD.approval_id, 'arguments', OLD.arguments, 'arguments_sha256', OLD.arguments_sha256,
        'edited_by', OLD.edited_by, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_mcp_servers_audit_ins AFTER INSERT ON mcp_servers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'mcp_server_created', 'mcp_server', NEW.id, NULL, audit_values(
        'id', NEW.id, 'name', NEW.name, 'server_type', NEW.server_type, 'command', NEW.command, 'args:json', NEW.args,
        'environment:secret-json', NEW.environment, 'status', NEW.status, 'capabilities:json', NEW.capabilities,
        'created_at:time', NEW.created_at, 'is_active:bool', NEW.is_active),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_mcp_servers_audit AFTER UPDATE OF id, name, server_type, command, args, environment, status, capabilities, created_at, is_active ON mcp_servers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'mcp_server_updated', 'mcp_server', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'name', OLD.name, NEW.name, 'server_type', OLD.server_type, NEW.server_type,
        'command', OLD.command, NEW.command, 'args:json', OLD.args, NEW.args,
        'environment:secret-json', OLD.environment, NEW.environment, 'status', OLD.status, NEW.status,
        'capabilities:json', OLD.capabilities, NEW.capabilities, 'created_at:time', OLD.created_at, NEW.created_at,
        'is_active:bool', OLD.is_active, NEW.is_active) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_mcp_servers_audit_del AFTER DELETE ON mcp_servers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'mcp_server_deleted', 'mcp_server', OLD.id, audit_values(
        'id', OLD.id, 'name', OLD.name, 'server_type', OLD.server_type, 'command', OLD.command, 'args:json', OLD.args,
        'environment:secret-json', OLD.environment, 'status', OLD.status, 'capabilities:json', OLD.capabilities,
        'created_at:time', OLD.created_at, 'is_active:bool', OLD.is_active), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_server_tools_audit_ins AFTER INSERT ON server_tools
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'server_tool_created', 'server_tool', NEW.server_id, NULL, audit_values(
        'server_id', NEW.server_id, 'name', NEW.name, 'description', NEW.description, 'input_schema:json', NEW.input_schema,
        'definition_sha256', NEW.definition_sha256, 'approved_sha256', NEW.approved_sha256, 'approved_by', NEW.approved_by,
        'approved_at:time', NEW.approved_at, 'repeatable:bool', NEW.repeatable, 'is_offered:bool', NEW.is_offered,
        'first_seen:time', NEW.first_seen),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_server_tools_audit AFTER UPDATE OF server_id, name, description, input_schema, definition_sha256, approved_sha256, approved_by,
    approved_at, repeatable, is_offered, first_seen ON server_tools
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'server_tool_updated', 'server_tool', NEW.server_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'server_id', OLD.server_id, NEW.server_id, 'name', OLD.name, NEW.name, 'description', OLD.description, NEW.description,
        'input_schema:json', OLD.input_schema, NEW.input_schema,
        'definition_sha256', OLD.definition_sha256, NEW.definition_sha256,
        'approved_sha256', OLD.approved_sha256, NEW.approved_sha256, 'approved_by', OLD.approved_by, NEW.approved_by,
        'approved_at:time', OLD.approved_at, NEW.approved_at, 'repeatable:bool', OLD.repeatable, NEW.repeatable,
        'is_offered:bool', OLD.is_offered, NEW.is_offered, 'first_seen:time', OLD.first_seen, NEW.first_seen) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_server_tools_audit_del AFTER DELETE ON server_tools
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'server_tool_deleted', 'server_tool', OLD.server_id, audit_values(
        'server_id', OLD.server_id, 'name', OLD.name, 'description', OLD.description, 'input_schema:json', OLD.input_schema,
        'definition_sha256', OLD.definition_sha256, 'approved_sha256', OLD.approved_sha256, 'approved_by', OLD.approved_by,
        'approved_at:time', OLD.approved_at, 'repeatable:bool', OLD.repeatable, 'is_offered:bool', OLD.is_offered,
        'first_seen:time', OLD.first_seen), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_watchers_audit_ins AFTER INSERT ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_created', 'watcher', NEW.id, NULL, audit_values(
        'id', NEW.id, 'name', NEW.name, 'watcher_type', NEW.watcher_type, 'config:json', NEW.config,
        'is_active:bool', NEW.is_active, 'last_error', NEW.last_error, 'error_count', NEW.error_count,
        'created_at:time', NEW.created_at, 'created_by', NEW.created_by),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_watchers_audit AFTER UPDATE OF id, name, watcher_type, config, is_active, last_error, error_count, created_at, created_by ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_updated', 'watcher', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'name', OLD.name, NEW.name, 'watcher_type', OLD.watcher_type, NEW.watcher_type,
        'config:json', OLD.config, NEW.config, 'is_active:bool', OLD.is_active, NEW.is_active,
        'last_error', OLD.last_error, NEW.last_error, 'error_count', OLD.error_count, NEW.error_count,
        'created_at:time', OLD.created_at, NEW.created_at, 'created_by', OLD.created_by, NEW.created_by) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_watchers_audit_del AFTER DELETE ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_deleted', 'watcher', OLD.id, audit_values(
        'id', OLD.id, 'name', OLD.name, 'watcher_type', OLD.watcher_type, 'config:json', OLD.config,
        'is_active:bool', OLD.is_active, 'last_error', OLD.last_error, 'error_count', OLD.error_count,
        'created_at:time', OLD.created_at, 'created_by', OLD.created_by), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_sessions_audit_ins AFTER INSERT ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_created', 'session', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'token:secret', NEW.token, 'created_at:time', NEW.created_at,
        'ip_address', NEW.ip_address, 'user_agent', NEW.user_agent, 'is_revoked:bool', NEW.is_revoked),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_sessions_audit AFTER UPDATE OF id, user_id, token, created_at, ip_address, user_agent, is_revoked ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_updated', 'session', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'token:secret', OLD.token, NEW.token,
        'created_at:time', OLD.created_at, NEW.created_at, 'ip_address', OLD.ip_address, NEW.ip_address,
        'user_agent', OLD.user_agent, NEW.user_agent, 'is_revoked:bool', OLD.is_revoked, NEW.is_revoked) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_sessions_audit_del AFTER DELETE ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_deleted', 'session', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'token:secret', OLD.token, 'created_at:time', OLD.created_at,
        'ip_address', OLD.ip_address, 'user_agent', OLD.user_agent, 'is_revoked:bool', OLD.is_revoked), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_file_attachments_audit_ins AFTER INSERT ON file_attachments
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'file_attachment_created', 'file_attachment', NEW.id, NULL, audit_values(
        'id', NEW.id, 'filename', NEW.filename, 'original_filename', NEW.original_filename, 'mime_type', NEW.mime_type,
        'file_size', NEW.file_size, 'storage_path', NEW.storage_path, 'uploaded_by', NEW.uploaded_by, 'task_id', NEW.task_id,
        'created_at:time', NEW.created_at, 'expires_at:time', NEW.expires_at, 'is_encrypted:bool', NEW.is_encrypted,
        'hash_checksum', NEW.hash_checksum),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_file_attachments_audit AFTER UPDATE OF id, filename, original_filename, mime_type, file_size, storage_path, uploaded_by, task_id,
    created_at, expires_at, is_encrypted, hash_checksum ON file_attachments
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'file_attachment_updated', 'file_attachment', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'filename', OLD.filename, NEW.filename,
        'original_filename', OLD.original_filename, NEW.original_filename, 'mime_type', OLD.mime_type, NEW.mime_type,
        'file_size', OLD.file_size, NEW.file_size, 'storage_path', OLD.storage_path, NEW.storage_path,
        'uploaded_by', OLD.uploaded_by, NEW.uploaded_by, 'task_id', OLD.task_id, NEW.task_id,
        'created_at:time', OLD.created_at, NEW.created_at, 'expires_at:time', OLD.expires_at, NEW.expires_at,
        'is_encrypted:bool', OLD.is_encrypted, NEW.is_encrypted, 'hash_checksum', OLD.hash_checksum, NEW.hash_checksum) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_file_attachments_audit_del AFTER DELETE ON file_attachments
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'file_attachment_deleted', 'file_attachment', OLD.id, audit_values(
        'id', OLD.id, 'filename', OLD.filename, 'original_filename', OLD.original_filename, 'mime_type', OLD.mime_type,
        'file_size', OLD.file_size, 'storage_path', OLD.storage_path, 'uploaded_by', OLD.uploaded_by, 'task_id', OLD.task_id,
        'created_at:time', OLD.created_at, 'expires_at:time', OLD.expires_at, 'is_encrypted:bool', OLD.is_encrypted,
        'hash_checksum', OLD.hash_checksum), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_notifications_audit_ins AFTER INSERT ON notifications
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_created', 'notification', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'title', NEW.title, 'message', NEW.message, 'type', NEW.type,
        'priority', NEW.priority, 'status', NEW.status, 'data:json', NEW.data, 'read_at:time', NEW.read_at,
        'sent_at:time', NEW.sent_at, 'created_at:time', NEW.created_at, 'scheduled_for:time', NEW.scheduled_for,
        'channel', NEW.channel),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_notifications_audit AFTER UPDATE OF id, user_id, title, message, type, priority, status, data, read_at, sent_at, created_at,
    scheduled_for, channel ON notifications
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_updated', 'notification', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'title', OLD.title, NEW.title,
        'message', OLD.message, NEW.message, 'type', OLD.type, NEW.type, 'priority', OLD.priority, NEW.priority,
        'status', OLD.status, NEW.status, 'data:json', OLD.data, NEW.data, 'read_at:time', OLD.read_at, NEW.read_at,
        'sent_at:time', OLD.sent_at, NEW.sent_at, 'created_at:time', OLD.created_at, NEW.created_at,
        'scheduled_for:time', OLD.scheduled_for, NEW.scheduled_for, 'channel', OLD.channel, NEW.channel) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_notifications_audit_del AFTER DELETE ON notifications
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_deleted', 'notification', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'title', OLD.title, 'message', OLD.message, 'type', OLD.type,
        'priority', OLD.priority, 'status', OLD.status, 'data:json', OLD.data, 'read_at:time', OLD.read_at,
        'sent_at:time', OLD.sent_at, 'created_at:time', OLD.created_at, 'scheduled_for:time', OLD.scheduled_for,
        'channel', OLD.channel), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_policies_audit_ins AFTER INSERT ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_created', 'policy', NEW.id, NULL, audit_values(
        'id', NEW.id, 'position', NEW.position, 'name', NEW.name, 'server', NEW.server, 'tool', NEW.tool,
        'condition', NEW.condition, 'outside:bool', NEW.outside, 'effect', NEW.effect,
        'approval_ttl_minutes', NEW.approval_ttl_minutes, 'is_active:bool', NEW.is_active, 'created_by', NEW.created_by,
        'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_policies_audit AFTER UPDATE OF id, position, name, server, tool, condition, outside, effect, approval_ttl_minutes, is_active,
    created_by, created_at ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_updated', 'policy', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'position', OLD.position, NEW.position, 'name', OLD.name, NEW.name,
        'server', OLD.server, NEW.server, 'tool', OLD.tool, NEW.tool, 'condition', OLD.condition, NEW.condition,
        'outside:bool', OLD.outside, NEW.outside, 'effect', OLD.effect, NEW.effect,
        'approval_ttl_minutes', OLD.approval_ttl_minutes, NEW.approval_ttl_minutes,
        'is_active:bool', OLD.is_active, NEW.is_active, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_policies_audit_del AFTER DELETE ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_deleted', 'policy', OLD.id, audit_values(
        'id', OLD.id, 'position', OLD.position, 'name', OLD.name, 'server', OLD.server, 'tool', OLD.tool,
        'condition', OLD.condition, 'outside:bool', OLD.outside, 'effect', OLD.effect,
        'approval_ttl_minutes', OLD.approval_ttl_minutes, 'is_active:bool', OLD.is_active, 'created_by', OLD.created_by,
        'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_runs_audit_ins AFTER INSERT ON runs
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'run_created', 'run', NEW.id, NULL, audit_values(
        'id', NEW.id, 'task_id', NEW.task_id, 'number', NEW.number, 'playbook', NEW.playbook,
        'playbook_sha256', NEW.playbook_sha256, 'state', NEW.state, 'error', NEW.error, 'started_by', NEW.started_by,
        'started_at:time', NEW.started_at, 'finished_at:time', NEW.finished_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_runs_audit AFTER UPDATE OF id, task_id, number, playbook, playbook_sha256, state, error, started_by, started_at,
    finished_at ON runs
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'run_updated', 'run', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'task_id', OLD.task_id, NEW.task_id, 'number', OLD.number, NEW.number,
        'playbook', OLD.playbook, NEW.playbook, 'playbook_sha256', OLD.playbook_sha256, NEW.playbook_sha256,
        'state', OLD.state, NEW.state, 'error', OLD.error, NEW.error, 'started_by', OLD.started_by, NEW.started_by,
        'started_at:time', OLD.started_at, NEW.started_at, 'finished_at:time', OLD.finished_at, NEW.finished_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_runs_audit_del AFTER DELETE ON runs
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'run_deleted', 'run', OLD.id, audit_values(
        'id', OLD.id, 'task_id', OLD.task_id, 'number', OLD.number, 'playbook', OLD.playbook,
        'playbook_sha256', OLD.playbook_sha256, 'state', OLD.state, 'error', OLD.error, 'started_by', OLD.started_by,
        'started_at:time', OLD.started_at, 'finished_at:time', OLD.finished_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_steps_audit_ins AFTER INSERT ON steps
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'step_created', 'step', NEW.id, NULL, audit_values(
        'id', NEW.id, 'run_id', NEW.run_id, 'task_id', NEW.task_id, 'ordinal', NEW.ordinal, 'name', NEW.name,
        'server', NEW.server, 'tool', NEW.tool, 'state', NEW.state, 'arguments', NEW.arguments,
        'arguments_sha256', NEW.arguments_sha256, 'policy_id', NEW.policy_id, 'policy_reason', NEW.policy_reason,
        'approval_id', NEW.approval_id, 'attempt', NEW.attempt, 'error', NEW.error, 'started_at:time', NEW.started_at,
        'finished_at:time', NEW.finished_at, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_steps_audit AFTER UPDATE OF id, run_id, task_id, ordinal, name, server, tool, state, arguments, arguments_sha256, policy_id,
    policy_reason, approval_id, attempt, error, started_at, finished_at, created_at ON steps
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'step_updated', 'step', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'run_id', OLD.run_id, NEW.run_id, 'task_id', OLD.task_id, NEW.task_id,
        'ordinal', OLD.ordinal, NEW.ordinal, 'name', OLD.name, NEW.name, 'server', OLD.server, NEW.server,
        'tool', OLD.tool, NEW.tool, 'state', OLD.state, NEW.state, 'arguments', OLD.arguments, NEW.arguments,
        'arguments_sha256', OLD.arguments_sha256, NEW.arguments_sha256, 'policy_id', OLD.policy_id, NEW.policy_id,
        'policy_reason', OLD.policy_reason, NEW.policy_reason, 'approval_id', OLD.approval_id, NEW.approval_id,
        'attempt', OLD.attempt, NEW.attempt, 'error', OLD.error, NEW.error, 'started_at:time', OLD.started_at, NEW.started_at,
        'finished_at:time', OLD.finished_at, NEW.finished_at, 'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_steps_audit_del AFTER DELETE ON steps
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'step_deleted', 'step', OLD.id, audit_values(
        'id', OLD.id, 'run_id', OLD.run_id, 'task_id', OLD.task_id, 'ordinal', OLD.ordinal, 'name', OLD.name,
        'server', OLD.server, 'tool', OLD.tool, 'state', OLD.state, 'arguments', OLD.arguments,
        'arguments_sha256', OLD.arguments_sha256, 'policy_id', OLD.policy_id, 'policy_reason', OLD.policy_reason,
        'approval_id', OLD.approval_id, 'attempt', OLD.attempt, 'error', OLD.error, 'started_at:time', OLD.started_at,
        'finished_at:time', OLD.finished_at, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
