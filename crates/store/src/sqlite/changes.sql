-- What the writer changes of the tables that are worth caching: noted for this process (see signals.rs). The triggers of
-- the same meaning on PostgreSQL stand in 0018_functions.sql.
CREATE TEMP TRIGGER signal_sessions_update AFTER UPDATE OF is_revoked ON main.sessions WHEN OLD.is_revoked IS NOT NEW.is_revoked
BEGIN SELECT note_change('sessions', NEW.token); END;
CREATE TEMP TRIGGER signal_sessions_authenticated AFTER UPDATE OF authenticated_at ON main.sessions WHEN OLD.authenticated_at IS NOT NEW.authenticated_at
BEGIN SELECT note_change('sessions', NEW.token); END;
CREATE TEMP TRIGGER signal_sessions_delete AFTER DELETE ON main.sessions
BEGIN SELECT note_change('sessions', OLD.token); END;

-- A token is forgotten as a session is.
CREATE TEMP TRIGGER signal_api_tokens_update AFTER UPDATE OF revoked_at ON main.api_tokens
BEGIN SELECT note_change('sessions', NEW.token); END;
CREATE TEMP TRIGGER signal_api_tokens_delete AFTER DELETE ON main.api_tokens
BEGIN SELECT note_change('sessions', OLD.token); END;

CREATE TEMP TRIGGER signal_users_insert AFTER INSERT ON main.users
BEGIN SELECT note_change('users', NEW.id); END;
CREATE TEMP TRIGGER signal_users_update AFTER UPDATE ON main.users
WHEN (OLD.username, OLD.email, OLD.password_hash, OLD.role, OLD.status, OLD.first_name, OLD.last_name, OLD.preferences)
    IS NOT (NEW.username, NEW.email, NEW.password_hash, NEW.role, NEW.status, NEW.first_name, NEW.last_name, NEW.preferences)
BEGIN SELECT note_change('users', NEW.id); END;
CREATE TEMP TRIGGER signal_users_delete AFTER DELETE ON main.users
BEGIN SELECT note_change('users', OLD.id); END;
CREATE TEMP TRIGGER signal_agents_insert AFTER INSERT ON main.agents
BEGIN SELECT note_change('users', NEW.user_id); END;
CREATE TEMP TRIGGER signal_agents_update AFTER UPDATE ON main.agents
BEGIN SELECT note_change('users', NEW.user_id); END;
CREATE TEMP TRIGGER signal_agents_delete AFTER DELETE ON main.agents
BEGIN SELECT note_change('users', OLD.user_id); END;

CREATE TEMP TRIGGER signal_role_permissions_insert AFTER INSERT ON main.role_permissions
BEGIN SELECT note_change('role_permissions', NEW.role); END;
CREATE TEMP TRIGGER signal_role_permissions_update AFTER UPDATE ON main.role_permissions
BEGIN SELECT note_change('role_permissions', OLD.role), note_change('role_permissions', NEW.role); END;
CREATE TEMP TRIGGER signal_role_permissions_delete AFTER DELETE ON main.role_permissions
BEGIN SELECT note_change('role_permissions', OLD.role); END;

CREATE TEMP TRIGGER signal_policies_insert AFTER INSERT ON main.policies
BEGIN SELECT note_change('policies', NEW.id); END;
CREATE TEMP TRIGGER signal_policies_update AFTER UPDATE ON main.policies
BEGIN SELECT note_change('policies', NEW.id); END;
CREATE TEMP TRIGGER signal_policies_delete AFTER DELETE ON main.policies
BEGIN SELECT note_change('policies', OLD.id); END;

CREATE TEMP TRIGGER signal_mcp_servers_insert AFTER INSERT ON main.mcp_servers
BEGIN SELECT note_change('mcp_servers', NEW.id); END;
CREATE TEMP TRIGGER signal_mcp_servers_update AFTER UPDATE ON main.mcp_servers
WHEN (OLD.name, OLD.server_type, OLD.command, OLD.args, OLD.environment, OLD.status, OLD.capabilities, OLD.is_active)
    IS NOT (NEW.name, NEW.server_type, NEW.command, NEW.args, NEW.environment, NEW.status, NEW.capabilities, NEW.is_active)
BEGIN SELECT note_change('mcp_servers', NEW.id); END;
CREATE TEMP TRIGGER signal_mcp_servers_delete AFTER DELETE ON main.mcp_servers
BEGIN SELECT note_change('mcp_servers', OLD.id); END;

CREATE TEMP TRIGGER signal_server_tools_insert AFTER INSERT ON main.server_tools
BEGIN SELECT note_change('server_tools', NEW.server_id); END;
CREATE TEMP TRIGGER signal_server_tools_update AFTER UPDATE ON main.server_tools
WHEN (OLD.name, OLD.description, OLD.input_schema, OLD.definition_sha256, OLD.approved_sha256, OLD.approved_by, OLD.approved_at, OLD.repeatable, OLD.is_offered)
    IS NOT (NEW.name, NEW.description, NEW.input_schema, NEW.definition_sha256, NEW.approved_sha256, NEW.approved_by, NEW.approved_at, NEW.repeatable, NEW.is_offered)
BEGIN SELECT note_change('server_tools', NEW.server_id); END;
CREATE TEMP TRIGGER signal_server_tools_delete AFTER DELETE ON main.server_tools
BEGIN SELECT note_change('server_tools', OLD.server_id); END;

CREATE TEMP TRIGGER signal_watchers_insert AFTER INSERT ON main.watchers
BEGIN SELECT note_change('watchers', NEW.id); END;
CREATE TEMP TRIGGER signal_watchers_update AFTER UPDATE ON main.watchers
WHEN (OLD.name, OLD.watcher_type, OLD.config, OLD.is_active, OLD.created_by)
    IS NOT (NEW.name, NEW.watcher_type, NEW.config, NEW.is_active, NEW.created_by)
BEGIN SELECT note_change('watchers', NEW.id); END;
CREATE TEMP TRIGGER signal_watchers_delete AFTER DELETE ON main.watchers
BEGIN SELECT note_change('watchers', OLD.id); END;
