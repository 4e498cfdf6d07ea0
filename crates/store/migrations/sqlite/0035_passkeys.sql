-- Passkeys (WebAuthn): what one's device or security key shows in place of a password, or after it. A passkey's secret never
-- leaves the device; what stands here is its public half.
CREATE TABLE passkeys (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 100) CONSTRAINT passkeys_name_check CHECK (name <> ''),
    -- the name of the desk that it is for: a browser shows it to no other
    site TEXT NOT NULL CHECK (length(site) <= 255),
    -- SHA-256 of the credential's id, by which a device names it
    credential_sha256 TEXT NOT NULL CONSTRAINT passkeys_credential_sha256_key UNIQUE
        CONSTRAINT passkeys_credential_sha256_check CHECK (length(credential_sha256) = 64 AND credential_sha256 NOT GLOB '*[^0-9a-f]*'),
    credential TEXT NOT NULL CHECK (json_valid(credential)), -- the public key with what is known of the device
    sign_count INTEGER NOT NULL DEFAULT 0 CONSTRAINT passkeys_sign_count_check CHECK (sign_count >= 0),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    last_used_at TEXT CHECK (last_used_at GLOB '????-??-??T??:??:??.??????Z'),
    last_challenge_at TEXT CHECK (last_challenge_at GLOB '????-??-??T??:??:??.??????Z') -- of the last challenge that was answered: no older one is taken
) STRICT;
CREATE INDEX idx_passkeys_user_id ON passkeys(user_id);
CREATE TRIGGER trg_passkeys_audit_ins AFTER INSERT ON passkeys
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'passkey_created', 'passkey', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'name', NEW.name, 'site', NEW.site, 'credential_sha256', NEW.credential_sha256,
        'credential:secret-json', NEW.credential, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_passkeys_audit AFTER UPDATE OF id, user_id, name, site, credential_sha256, credential, created_at ON passkeys
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'passkey_updated', 'passkey', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'name', OLD.name, NEW.name, 'site', OLD.site, NEW.site,
        'credential_sha256', OLD.credential_sha256, NEW.credential_sha256,
        'credential:secret-json', OLD.credential, NEW.credential, 'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_passkeys_audit_del AFTER DELETE ON passkeys
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'passkey_deleted', 'passkey', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'name', OLD.name, 'site', OLD.site, 'credential_sha256', OLD.credential_sha256,
        'credential:secret-json', OLD.credential, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
