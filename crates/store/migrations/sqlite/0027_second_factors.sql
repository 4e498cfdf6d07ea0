-- The second factor: a secret that an authenticator app shares with Steward, sealed, and codes for the day the app is lost.
CREATE TABLE second_factors (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    secret TEXT NOT NULL CHECK (json_valid(secret)), -- sealed by the vault
    last_step INTEGER NOT NULL DEFAULT 0 CONSTRAINT second_factors_last_step_check CHECK (last_step >= 0), -- of the last code that was taken
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    confirmed_at TEXT CHECK (confirmed_at GLOB '????-??-??T??:??:??.??????Z') -- NULL: it was begun, and no code was shown yet
) STRICT;
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES second_factors(user_id) ON DELETE CASCADE,
    -- the SHA-256 of the code in hex; a raw one is refused
    code TEXT NOT NULL,
    used_at TEXT CHECK (used_at GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (user_id, code),
    CONSTRAINT recovery_codes_code_check CHECK (length(code) = 64 AND code NOT GLOB '*[^0-9a-f]*')
) STRICT;

CREATE TRIGGER trg_second_factors_audit_ins AFTER INSERT ON second_factors
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'second_factor_created', 'second_factor', NEW.user_id, NULL, audit_values(
        'user_id', NEW.user_id, 'secret:secret-json', NEW.secret, 'created_at:time', NEW.created_at,
        'confirmed_at:time', NEW.confirmed_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_second_factors_audit AFTER UPDATE OF user_id, secret, created_at, confirmed_at ON second_factors
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'second_factor_updated', 'second_factor', NEW.user_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'user_id', OLD.user_id, NEW.user_id, 'secret:secret-json', OLD.secret, NEW.secret,
        'created_at:time', OLD.created_at, NEW.created_at, 'confirmed_at:time', OLD.confirmed_at, NEW.confirmed_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_second_factors_audit_del AFTER DELETE ON second_factors
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'second_factor_deleted', 'second_factor', OLD.user_id, audit_values(
        'user_id', OLD.user_id, 'secret:secret-json', OLD.secret, 'created_at:time', OLD.created_at,
        'confirmed_at:time', OLD.confirmed_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_recovery_codes_audit_ins AFTER INSERT ON recovery_codes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'recovery_code_created', 'recovery_code', NEW.user_id, NULL, audit_values(
        'user_id', NEW.user_id, 'code:secret', NEW.code, 'used_at:time', NEW.used_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_recovery_codes_audit AFTER UPDATE OF user_id, code, used_at ON recovery_codes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'recovery_code_updated', 'recovery_code', NEW.user_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'user_id', OLD.user_id, NEW.user_id, 'code:secret', OLD.code, NEW.code,
        'used_at:time', OLD.used_at, NEW.used_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_recovery_codes_audit_del AFTER DELETE ON recovery_codes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'recovery_code_deleted', 'recovery_code', OLD.user_id, audit_values(
        'user_id', OLD.user_id, 'code:secret', OLD.code, 'used_at:time', OLD.used_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
