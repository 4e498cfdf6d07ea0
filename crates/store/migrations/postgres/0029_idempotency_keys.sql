-- Answers to requests that carry a key of the sender's own, kept for a day: sent again, the same request gets the same answer.
CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    key VARCHAR(255) NOT NULL CONSTRAINT chk_idempotency_key CHECK (key <> ''),
    request_sha256 VARCHAR(64) NOT NULL CONSTRAINT chk_idempotency_request CHECK (request_sha256 ~ '^[0-9a-f]{64}$'),
    status INTEGER, -- of the answer; none while the request is under way, or where it ended without one
    answer JSONB,   -- sealed
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (user_id, key),
    CONSTRAINT chk_idempotency_answer CHECK ((status IS NULL) = (answer IS NULL))
);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys(created_at);

-- Steward's own bookkeeping: nobody else reads or writes it. (It is no change that the audit trail tells of.)
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_idempotency_keys ON idempotency_keys TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_idempotency_keys ON idempotency_keys TO app_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE, UPDATE (request_sha256, status, answer, created_at) ON idempotency_keys TO app_service;

INSERT INTO schedules (name, id, cron) VALUES ('idempotency-keys', '00000000-0000-7000-8000-0000005c0020', '20 * * * *');
