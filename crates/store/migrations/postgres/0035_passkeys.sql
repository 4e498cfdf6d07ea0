-- Passkeys (WebAuthn): what one's device or security key shows in place of a password, or after it. A passkey's secret never
-- leaves the device; what stands here is its public half.
CREATE TABLE passkeys (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name VARCHAR(100) NOT NULL CONSTRAINT passkeys_name_check CHECK (name <> ''),
    -- The name of the desk that it is for: a browser shows it to no other.
    site VARCHAR(255) NOT NULL,
    -- SHA-256 of the credential's id, by which a device names it.
    credential_sha256 VARCHAR(64) NOT NULL CONSTRAINT passkeys_credential_sha256_key UNIQUE
        CONSTRAINT passkeys_credential_sha256_check CHECK (credential_sha256 ~ '^[0-9a-f]{64}$'),
    credential JSONB NOT NULL, -- the public key with what is known of the device
    sign_count BIGINT NOT NULL DEFAULT 0 CONSTRAINT passkeys_sign_count_check CHECK (sign_count >= 0),
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_used_at TIMESTAMPTZ,
    last_challenge_at TIMESTAMPTZ -- of the last challenge that was answered: no older one is taken
);
CREATE INDEX idx_passkeys_user_id ON passkeys(user_id);
CREATE TRIGGER trg_passkeys_audit AFTER INSERT OR UPDATE OR DELETE ON passkeys FOR EACH ROW
    EXECUTE FUNCTION audit_row('passkey', 'credential', 'sign_count,last_used_at,last_challenge_at');
ALTER TABLE passkeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE passkeys FORCE ROW LEVEL SECURITY;
CREATE POLICY service_passkeys ON passkeys TO app_service USING (true) WITH CHECK (true);
-- One sees one's own, and takes them away; so does a user administrator for whoever lost one. Steward does the rest.
CREATE POLICY passkeys_own ON passkeys FOR SELECT TO app_user
    USING (user_id = (SELECT current_user_id()) OR (SELECT permissions && ARRAY['*', 'user_admin'] FROM my_rights));
CREATE POLICY passkeys_remove ON passkeys FOR DELETE TO app_user
    USING (user_id = (SELECT current_user_id()) OR (SELECT permissions && ARRAY['*', 'user_admin'] FROM my_rights));
CREATE POLICY active_only ON passkeys AS RESTRICTIVE FOR ALL TO app_user USING ((SELECT permissions && ARRAY['*', 'sign_in'] FROM my_rights));
GRANT SELECT (id, user_id, name, site, sign_count, created_at, last_used_at), DELETE ON passkeys TO app_user;
GRANT SELECT, INSERT, UPDATE (credential, sign_count, last_used_at, last_challenge_at) ON passkeys TO app_service;
