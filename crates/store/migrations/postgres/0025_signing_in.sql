-- Signing in: when a person last showed who it is, and how often somebody tried of late.
ALTER TABLE sessions ADD COLUMN authenticated_at TIMESTAMPTZ; -- NULL: when it began
-- What depends on it is decided anew at once, on every node.
CREATE TRIGGER signal_sessions_authenticated AFTER UPDATE OF authenticated_at ON sessions FOR EACH ROW EXECUTE FUNCTION signal_change('sessions', 'token', 'last_accessed,expires_at');
GRANT SELECT (authenticated_at) ON sessions TO app_user;
GRANT UPDATE (authenticated_at) ON sessions TO app_service;

-- Counts of tries by the hash of what is counted (an account, an address); no name and no address stands here.
CREATE TABLE login_tries (
    key VARCHAR(64) PRIMARY KEY CONSTRAINT login_tries_key_check CHECK (key ~ '^[0-9a-f]{64}$'),
    tries INTEGER NOT NULL CONSTRAINT login_tries_tries_check CHECK (tries >= 0),
    since TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_login_tries_since ON login_tries(since);
ALTER TABLE login_tries ENABLE ROW LEVEL SECURITY;
ALTER TABLE login_tries FORCE ROW LEVEL SECURITY;
CREATE POLICY service_login_tries ON login_tries TO app_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE, UPDATE (tries, since) ON login_tries TO app_service;
