-- 6. Watchers
CREATE TABLE watchers (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    name TEXT NOT NULL CHECK (length(name) <= 100),
    watcher_type TEXT NOT NULL CHECK (length(watcher_type) <= 50),
    config TEXT CHECK (json_valid(config)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    last_run TEXT CHECK (last_run GLOB '????-??-??T??:??:??.??????Z'),
    last_error TEXT,
    error_count INTEGER NOT NULL DEFAULT 0 CONSTRAINT watchers_error_count_check CHECK (error_count BETWEEN 0 AND 2147483647),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL
) STRICT;
