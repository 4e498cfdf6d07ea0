-- 4. System logs (no partitions on SQLite; the key is the same)
CREATE TABLE system_logs (
    id TEXT NOT NULL CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    timestamp TEXT NOT NULL DEFAULT (now()) CHECK (timestamp GLOB '????-??-??T??:??:??.??????Z'),
    level TEXT NOT NULL,
    module TEXT CHECK (length(module) <= 100),
    message TEXT,
    user_id TEXT REFERENCES users(id) ON DELETE SET NULL,
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,
    request_id TEXT CHECK (length(request_id) <= 100),
    ip_address TEXT CHECK (length(ip_address) BETWEEN 2 AND 49 AND ip_address NOT GLOB '*[^0-9a-f.:/]*'),
    user_agent TEXT,
    metadata TEXT CHECK (json_valid(metadata)),
    PRIMARY KEY (id, timestamp),
    CONSTRAINT chk_log_level CHECK (level IN ('debug', 'info', 'warning', 'error', 'critical'))
) STRICT;
