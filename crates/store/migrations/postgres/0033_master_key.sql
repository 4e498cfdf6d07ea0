-- Which master key the database is sealed with, so that a wrong one is refused before anything fails for it. It is the key's
-- fingerprint, which shows nothing of the key.
CREATE TABLE master_key (
    id UUID PRIMARY KEY DEFAULT '00000000-0000-7000-8000-0000005c0100'
        CONSTRAINT chk_master_key_one CHECK (id = '00000000-0000-7000-8000-0000005c0100'),
    fingerprint VARCHAR(16) NOT NULL CONSTRAINT chk_master_key_fingerprint CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    since TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Steward's own. (What is sealed anew with another key changes rows, and of those the audit trail tells.)
ALTER TABLE master_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE master_key FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_master_key ON master_key TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_master_key ON master_key TO app_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (fingerprint, since) ON master_key TO app_service;
