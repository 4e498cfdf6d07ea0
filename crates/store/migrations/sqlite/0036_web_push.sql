-- Pushes to browsers: the key by which their makers' services know this Steward, and the browsers that asked to be told.
CREATE TABLE push_keys (
    id INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CONSTRAINT push_keys_id_check CHECK (id = 1), -- there is one
    secret TEXT NOT NULL CHECK (json_valid(secret)), -- sealed by the vault
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE TABLE push_subscriptions (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 100) CONSTRAINT push_subscriptions_name_check CHECK (name <> ''),
    -- SHA-256 of the address: a browser stands here once
    endpoint_sha256 TEXT NOT NULL CONSTRAINT push_subscriptions_endpoint_sha256_key UNIQUE
        CONSTRAINT push_subscriptions_endpoint_sha256_check CHECK (length(endpoint_sha256) = 64 AND endpoint_sha256 NOT GLOB '*[^0-9a-f]*'),
    secret TEXT NOT NULL CHECK (json_valid(secret)), -- address and keys, sealed by the vault: whoever knows them can send something
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX idx_push_subscriptions_user_id ON push_subscriptions(user_id);
CREATE TRIGGER trg_push_subscriptions_audit_ins AFTER INSERT ON push_subscriptions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'push_subscription_created', 'push_subscription', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'name', NEW.name, 'endpoint_sha256', NEW.endpoint_sha256,
        'secret:secret-json', NEW.secret, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_push_subscriptions_audit AFTER UPDATE OF id, user_id, name, endpoint_sha256, secret, created_at ON push_subscriptions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'push_subscription_updated', 'push_subscription', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'name', OLD.name, NEW.name,
        'endpoint_sha256', OLD.endpoint_sha256, NEW.endpoint_sha256, 'secret:secret-json', OLD.secret, NEW.secret,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_push_subscriptions_audit_del AFTER DELETE ON push_subscriptions
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'push_subscription_deleted', 'push_subscription', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'name', OLD.name, 'endpoint_sha256', OLD.endpoint_sha256,
        'secret:secret-json', OLD.secret, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
