-- API tokens: what a program shows in place of a person's log-in. It acts as its owner and reaches no further than its scopes.
CREATE TABLE api_tokens (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE, -- as whom it acts
    name VARCHAR(100) NOT NULL CONSTRAINT chk_api_token_name CHECK (name <> ''),
    -- The SHA-256 of the token in hex; a raw token is refused.
    token VARCHAR(255) NOT NULL CONSTRAINT api_tokens_token_key UNIQUE CONSTRAINT api_tokens_token_check CHECK (token ~ '^[0-9a-f]{64}$'),
    hint VARCHAR(8) NOT NULL, -- its last characters, by which a person knows it again
    scopes TEXT[] NOT NULL CONSTRAINT chk_api_token_scopes CHECK (cardinality(scopes) BETWEEN 1 AND 16),
    expires_at TIMESTAMPTZ NOT NULL,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_used_at TIMESTAMPTZ, -- noted at most once a minute
    revoked_at TIMESTAMPTZ
);
CREATE INDEX idx_api_tokens_user_id ON api_tokens(user_id, created_at, id);
CREATE INDEX idx_api_tokens_created_by ON api_tokens(created_by);

-- No agent's token can contain deciding. (has_permission() refuses it to agents in any case.)
CREATE FUNCTION api_tokens_check() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF 'decide' = ANY (NEW.scopes) AND EXISTS (SELECT 1 FROM public.agents a WHERE a.user_id = NEW.user_id) THEN
        RAISE EXCEPTION 'no token of an agent decides'
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_api_token_agent', TABLE = 'api_tokens';
    END IF;
    RETURN NEW;
END $fn$;
REVOKE ALL ON FUNCTION api_tokens_check() FROM PUBLIC;
CREATE TRIGGER chk_api_token_agent BEFORE INSERT OR UPDATE OF scopes, user_id ON api_tokens FOR EACH ROW EXECUTE FUNCTION api_tokens_check();
CREATE TRIGGER trg_api_tokens_audit AFTER INSERT OR UPDATE OR DELETE ON api_tokens FOR EACH ROW EXECUTE FUNCTION audit_row('api_token', 'token', 'last_used_at');
-- A revoked token is forgotten by every cache, as a session is.
CREATE TRIGGER signal_api_tokens AFTER UPDATE OR DELETE ON api_tokens FOR EACH ROW EXECUTE FUNCTION signal_change('sessions', 'token', 'last_used_at');
CREATE TRIGGER signal_truncate AFTER TRUNCATE ON api_tokens FOR EACH STATEMENT EXECUTE FUNCTION signal_change();

ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_api_tokens ON api_tokens TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_api_tokens ON api_tokens TO app_service USING (true) WITH CHECK (true);
-- One's own, and everybody's for a user administrator.
CREATE POLICY api_tokens_view ON api_tokens FOR SELECT TO app_user USING (
    user_id = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'user_admin')));
-- A person makes them: for oneself, and a user administrator for agents; an agent makes none.
CREATE POLICY api_tokens_add ON api_tokens FOR INSERT TO app_user WITH CHECK (
    created_by = (SELECT current_user_id()) AND revoked_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = (SELECT current_user_id()))
    AND (user_id = (SELECT current_user_id()) OR ((SELECT has_permission(current_user_id(), 'user_admin'))
        AND EXISTS (SELECT 1 FROM agents a WHERE a.user_id = api_tokens.user_id))));
-- A token that was revoked stays so.
CREATE POLICY api_tokens_revoke ON api_tokens FOR UPDATE TO app_user
    USING (user_id = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'user_admin')))
    WITH CHECK (revoked_at IS NOT NULL);
CREATE POLICY active_only ON api_tokens AS RESTRICTIVE FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));

GRANT SELECT (id, user_id, name, hint, scopes, expires_at, created_by, created_at, last_used_at, revoked_at) ON api_tokens TO app_user;
GRANT INSERT ON api_tokens TO app_user;
GRANT UPDATE (revoked_at) ON api_tokens TO app_user;
GRANT SELECT, UPDATE (last_used_at) ON api_tokens TO app_service;
