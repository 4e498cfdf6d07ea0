-- API tokens: what a program shows in place of a person's log-in. It acts as its owner and reaches no further than its scopes.
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE, -- as whom it acts
    name TEXT NOT NULL CHECK (length(name) <= 100),
    -- the SHA-256 of the token in hex; a raw token is refused
    token TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL CHECK (length(hint) <= 8), -- its last characters, by which a person knows it again
    scopes TEXT NOT NULL CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
    expires_at TEXT NOT NULL CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    last_used_at TEXT CHECK (last_used_at GLOB '????-??-??T??:??:??.??????Z'), -- noted at most once a minute
    revoked_at TEXT CHECK (revoked_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT api_tokens_token_check CHECK (length(token) = 64 AND token NOT GLOB '*[^0-9a-f]*'),
    CONSTRAINT chk_api_token_name CHECK (name <> ''),
    CONSTRAINT chk_api_token_scopes CHECK (json_array_length(scopes) BETWEEN 1 AND 16)
) STRICT;
CREATE INDEX idx_api_tokens_user_id ON api_tokens(user_id, created_at, id);
CREATE INDEX idx_api_tokens_created_by ON api_tokens(created_by);

-- No agent's token can contain deciding. (has_permission() refuses it to agents in any case.)
CREATE TRIGGER chk_api_token_agent BEFORE INSERT ON api_tokens
WHEN EXISTS (SELECT 1 FROM agents a WHERE a.user_id = NEW.user_id)
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_api_token_agent') FROM json_each(NEW.scopes) s WHERE s.value = 'decide';
END;
CREATE TRIGGER chk_api_token_agent_update BEFORE UPDATE OF scopes, user_id ON api_tokens
WHEN EXISTS (SELECT 1 FROM agents a WHERE a.user_id = NEW.user_id)
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_api_token_agent') FROM json_each(NEW.scopes) s WHERE s.value = 'decide';
END;

CREATE TRIGGER trg_api_tokens_audit_ins AFTER INSERT ON api_tokens
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'api_token_created', 'api_token', NEW.id, NULL, audit_values(
        'id', NEW.id, 'user_id', NEW.user_id, 'name', NEW.name, 'token:secret', NEW.token, 'hint', NEW.hint,
        'scopes:json', NEW.scopes, 'expires_at:time', NEW.expires_at, 'created_by', NEW.created_by,
        'created_at:time', NEW.created_at, 'revoked_at:time', NEW.revoked_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_api_tokens_audit AFTER UPDATE OF id, user_id, name, token, hint, scopes, expires_at, created_by, created_at, revoked_at ON api_tokens
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'api_token_updated', 'api_token', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'user_id', OLD.user_id, NEW.user_id, 'name', OLD.name, NEW.name,
        'token:secret', OLD.token, NEW.token, 'hint', OLD.hint, NEW.hint, 'scopes:json', OLD.scopes, NEW.scopes,
        'expires_at:time', OLD.expires_at, NEW.expires_at, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'revoked_at:time', OLD.revoked_at, NEW.revoked_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_api_tokens_audit_del AFTER DELETE ON api_tokens
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'api_token_deleted', 'api_token', OLD.id, audit_values(
        'id', OLD.id, 'user_id', OLD.user_id, 'name', OLD.name, 'token:secret', OLD.token, 'hint', OLD.hint,
        'scopes:json', OLD.scopes, 'expires_at:time', OLD.expires_at, 'created_by', OLD.created_by,
        'created_at:time', OLD.created_at, 'revoked_at:time', OLD.revoked_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
