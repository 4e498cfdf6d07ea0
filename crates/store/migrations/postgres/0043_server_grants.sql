-- What servers elsewhere let Steward do (OAuth): a token and how it is renewed, for each server that a person authorized.
CREATE TABLE server_grants (
    server_id UUID PRIMARY KEY REFERENCES mcp_servers(id) ON DELETE CASCADE,
    secret JSONB NOT NULL, -- sealed by the vault
    renewing_until TIMESTAMPTZ, -- a node renews it; the others wait, since a token to renew with is often good for once
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
-- Who gave it and who took it back; that Steward renews it by itself is no news.
CREATE TRIGGER trg_server_grants_audit AFTER INSERT OR DELETE ON server_grants FOR EACH ROW
    EXECUTE FUNCTION audit_row('server_grant:server_id', 'secret', '');
ALTER TABLE server_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE server_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY service_server_grants ON server_grants TO app_service USING (true) WITH CHECK (true);
CREATE POLICY server_grants_admin ON server_grants FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'server_admin')))
    WITH CHECK ((SELECT has_permission(current_user_id(), 'server_admin')));
GRANT SELECT (server_id, created_at), INSERT (server_id, secret, created_at), DELETE ON server_grants TO app_user;
GRANT SELECT, INSERT, DELETE, UPDATE (secret, renewing_until) ON server_grants TO app_service;
