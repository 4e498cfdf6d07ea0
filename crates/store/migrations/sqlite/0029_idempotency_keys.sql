-- Answers to requests that carry a key of the sender's own, kept for a day: sent again, the same request gets the same answer.
CREATE TABLE idempotency_keys (
    user_id TEXT NOT NULL CHECK (length(user_id) = 36 AND user_id = lower(user_id)) REFERENCES users(id) ON DELETE CASCADE,
    key TEXT NOT NULL CHECK (length(key) <= 255) CONSTRAINT chk_idempotency_key CHECK (key <> ''),
    request_sha256 TEXT NOT NULL CONSTRAINT chk_idempotency_request CHECK (length(request_sha256) = 64 AND request_sha256 NOT GLOB '*[^0-9a-f]*'),
    status INTEGER, -- of the answer; none while the request is under way, or where it ended without one
    answer TEXT CHECK (json_valid(answer)), -- sealed
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (user_id, key),
    CONSTRAINT chk_idempotency_answer CHECK ((status IS NULL) = (answer IS NULL))
) STRICT;
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys(created_at);

INSERT INTO schedules (name, id, cron) VALUES ('idempotency-keys', '00000000-0000-7000-8000-0000005c0020', '20 * * * *');
