-- The second factor: a secret that an authenticator app shares with Steward, sealed, and codes for the day the app is lost.
CREATE TABLE second_factors (
    user_id UUID PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    secret JSONB NOT NULL, -- sealed by the vault
    last_step BIGINT NOT NULL DEFAULT 0 CONSTRAINT second_factors_last_step_check CHECK (last_step >= 0), -- of the last code that was taken
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    confirmed_at TIMESTAMPTZ -- NULL: it was begun, and no code was shown yet
);
CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES second_factors(user_id) ON DELETE CASCADE,
    -- The SHA-256 of the code in hex; a raw one is refused.
    code VARCHAR(64) NOT NULL CONSTRAINT recovery_codes_code_check CHECK (code ~ '^[0-9a-f]{64}$'),
    used_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, code)
);
CREATE TRIGGER trg_second_factors_audit AFTER INSERT OR UPDATE OR DELETE ON second_factors FOR EACH ROW EXECUTE FUNCTION audit_row('second_factor:user_id', 'secret', 'last_step');
CREATE TRIGGER trg_recovery_codes_audit AFTER INSERT OR UPDATE OR DELETE ON recovery_codes FOR EACH ROW EXECUTE FUNCTION audit_row('recovery_code:user_id', 'code', '');
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['second_factors', 'recovery_codes'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
-- One sees that one has it, and takes it away; so does a user administrator for whoever lost it. Steward does the rest.
CREATE POLICY second_factors_own ON second_factors FOR SELECT TO app_user
    USING (user_id = (SELECT current_user_id()) OR (SELECT permissions && ARRAY['*', 'user_admin'] FROM my_rights));
CREATE POLICY second_factors_remove ON second_factors FOR DELETE TO app_user
    USING (user_id = (SELECT current_user_id()) OR (SELECT permissions && ARRAY['*', 'user_admin'] FROM my_rights));
CREATE POLICY active_only ON second_factors AS RESTRICTIVE FOR ALL TO app_user USING ((SELECT permissions && ARRAY['*', 'sign_in'] FROM my_rights));
GRANT SELECT (user_id, created_at, confirmed_at), DELETE ON second_factors TO app_user;
GRANT SELECT, INSERT, UPDATE (secret, last_step, created_at, confirmed_at) ON second_factors TO app_service;
GRANT SELECT, INSERT, DELETE, UPDATE (used_at) ON recovery_codes TO app_service;
