-- 7. Sessions
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    -- the SHA-256 of the token in hex; a raw token is refused
    token TEXT NOT NULL CONSTRAINT sessions_token_check CHECK (length(token) = 64 AND token NOT GLOB '*[^0-9a-f]*'),
    expires_at TEXT NOT NULL CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    last_accessed TEXT NOT NULL DEFAULT (now()) CHECK (last_accessed GLOB '????-??-??T??:??:??.??????Z'),
    ip_address TEXT CHECK (length(ip_address) BETWEEN 2 AND 49 AND ip_address NOT GLOB '*[^0-9a-f.:/]*'),
    user_agent TEXT,
    is_revoked INTEGER NOT NULL DEFAULT 0 CHECK (is_revoked IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX idx_sessions_token ON sessions(token);
