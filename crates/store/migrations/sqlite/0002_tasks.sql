-- 2. Tasks
-- (Rules that have a name stand last and by name, here and below: of several that are broken PostgreSQL says the first by name.)
-- SQLite adds no constraint to a table that exists: chk_priority_duration of 0012 stands here; chk_completed_at and
-- chk_due_date_not_past are triggers there, because they hold after completed_at is filled in.
CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    title TEXT NOT NULL CHECK (length(title) <= 255),
    description TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    priority TEXT NOT NULL DEFAULT 'medium',
    assigned_to TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_by TEXT REFERENCES users(id),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    due_date TEXT CHECK (due_date GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    estimated_duration INTEGER, -- in minutes
    actual_duration INTEGER,       -- in minutes
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    dependencies TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(dependencies) AND json_type(dependencies) = 'array'), -- array of task IDs this task depends on
    tags TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
    CONSTRAINT chk_priority CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    CONSTRAINT chk_priority_duration CHECK (priority != 'critical' OR estimated_duration <= 1440),
    CONSTRAINT chk_status CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
    CONSTRAINT tasks_actual_duration_check CHECK (actual_duration BETWEEN 0 AND 2147483647),
    CONSTRAINT tasks_estimated_duration_check CHECK (estimated_duration BETWEEN 0 AND 2147483647)
) STRICT;
