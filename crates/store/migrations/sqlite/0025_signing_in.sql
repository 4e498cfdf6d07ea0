-- Signing in: when a person last showed who it is, and how often somebody tried of late.
ALTER TABLE sessions ADD COLUMN authenticated_at TEXT CHECK (authenticated_at GLOB '????-??-??T??:??:??.??????Z'); -- NULL: when it began

-- Counts of tries by the hash of what is counted (an account, an address); no name and no address stands here.
CREATE TABLE login_tries (
    key TEXT NOT NULL PRIMARY KEY,
    tries INTEGER NOT NULL,
    since TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT login_tries_key_check CHECK (length(key) = 64 AND key NOT GLOB '*[^0-9a-f]*'),
    CONSTRAINT login_tries_tries_check CHECK (tries BETWEEN 0 AND 2147483647)
) STRICT;
CREATE INDEX idx_login_tries_since ON login_tries(since);

-- The audit of sessions, with the new column.
DROP TRIGGER trg_sessions_audit_ins;
DROP TRIGGER trg_sessions_audit;
DROP TRIGGER trg_sessions_audit_del;
CREATE TRIGGER trg_sessions_audit_ins AFTER INSERT ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_created', 'session', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'token:secret', NEW.token, 'created_at:time', NEW.created_at,
        'ip_address', NEW.ip_address, 'user_agent', NEW.user_agent, 'is_revoked:bool', NEW.is_revoked,
        'authenticated_at:time', NEW.authenticated_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_sessions_audit AFTER UPDATE OF id, user_id, token, created_at, ip_address, user_agent, is_revoked, authenticated_at ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_updated', 'session', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'token:secret', OLD.token, NEW.token,
        'created_at:time', OLD.created_at, NEW.created_at, 'ip_address', OLD.ip_address, NEW.ip_address,
        'user_agent', OLD.user_agent, NEW.user_agent, 'is_revoked:bool', OLD.is_revoked, NEW.is_revoked,
        'authenticated_at:time', OLD.authenticated_at, NEW.authenticated_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_sessions_audit_del AFTER DELETE ON sessions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'session_deleted', 'session', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'token:secret', OLD.token, 'created_at:time', OLD.created_at,
        'ip_address', OLD.ip_address, 'user_agent', OLD.user_agent, 'is_revoked:bool', OLD.is_revoked,
        'authenticated_at:time', OLD.authenticated_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
