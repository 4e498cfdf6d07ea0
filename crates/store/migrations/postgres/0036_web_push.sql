-- Pushes to browsers: the key by which their makers' services know this Steward, and the browsers that asked to be told.
CREATE TABLE push_keys (
    id INTEGER PRIMARY KEY DEFAULT 1 CONSTRAINT push_keys_id_check CHECK (id = 1), -- there is one
    secret JSONB NOT NULL, -- sealed by the vault
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE push_subscriptions (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name VARCHAR(100) NOT NULL CONSTRAINT push_subscriptions_name_check CHECK (name <> ''),
    -- SHA-256 of the address: a browser stands here once.
    endpoint_sha256 VARCHAR(64) NOT NULL CONSTRAINT push_subscriptions_endpoint_sha256_key UNIQUE
        CONSTRAINT push_subscriptions_endpoint_sha256_check CHECK (endpoint_sha256 ~ '^[0-9a-f]{64}$'),
    secret JSONB NOT NULL, -- address and keys, sealed by the vault: whoever knows them can send something
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_push_subscriptions_user_id ON push_subscriptions(user_id);
CREATE TRIGGER trg_push_subscriptions_audit AFTER INSERT OR UPDATE OR DELETE ON push_subscriptions FOR EACH ROW
    EXECUTE FUNCTION audit_row('push_subscription', 'secret', '');
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['push_keys', 'push_subscriptions'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
-- One sees and ends one's own. Steward adds them, and takes away those that are gone.
CREATE POLICY push_subscriptions_own ON push_subscriptions FOR SELECT TO app_user USING (user_id = (SELECT current_user_id()));
CREATE POLICY push_subscriptions_remove ON push_subscriptions FOR DELETE TO app_user USING (user_id = (SELECT current_user_id()));
CREATE POLICY active_only ON push_subscriptions AS RESTRICTIVE FOR ALL TO app_user USING ((SELECT permissions && ARRAY['*', 'sign_in'] FROM my_rights));
GRANT SELECT (id, user_id, name, created_at), DELETE ON push_subscriptions TO app_user;
GRANT SELECT, INSERT, DELETE, UPDATE (user_id, name, secret) ON push_subscriptions TO app_service;
GRANT SELECT, INSERT, UPDATE (secret) ON push_keys TO app_service;
