-- What servers elsewhere let Steward do (OAuth): a token and how it is renewed, for each server that a person authorized.
CREATE TABLE server_grants (
    server_id TEXT NOT NULL PRIMARY KEY REFERENCES mcp_servers(id) ON DELETE CASCADE,
    secret TEXT NOT NULL CHECK (json_valid(secret)), -- sealed by the vault
    renewing_until TEXT CHECK (renewing_until GLOB '????-??-??T??:??:??.??????Z'), -- a node renews it; the others wait
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
-- Who gave it and who took it back; that Steward renews it by itself is no news.
CREATE TRIGGER trg_server_grants_audit_ins AFTER INSERT ON server_grants
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'server_grant_created', 'server_grant', NEW.server_id, NULL, audit_values(
        'server_id', NEW.server_id, 'secret:secret-json', NEW.secret, 'renewing_until:time', NEW.renewing_until,
        'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_server_grants_audit_del AFTER DELETE ON server_grants
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'server_grant_deleted', 'server_grant', OLD.server_id, audit_values(
        'server_id', OLD.server_id, 'secret:secret-json', OLD.secret, 'renewing_until:time', OLD.renewing_until,
        'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
