-- What runs by the clock. One row a job; a row in schedule_fires for each time it fired, so that nothing fires twice.
-- (Steward's own scheduler does the work; there is no pg_cron here.)
CREATE TABLE schedules (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) <= 100),
    cron TEXT NOT NULL CHECK (length(cron) <= 100),
    time_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) <= 100),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    last_fire_at TEXT CHECK (last_fire_at GLOB '????-??-??T??:??:??.??????Z'),
    next_fire_at TEXT CHECK (next_fire_at GLOB '????-??-??T??:??:??.??????Z'),
    last_result TEXT
) STRICT;
CREATE TABLE schedule_fires (
    name TEXT NOT NULL CHECK (length(name) <= 100) REFERENCES schedules(name) ON DELETE CASCADE,
    fire_at TEXT NOT NULL CHECK (fire_at GLOB '????-??-??T??:??:??.??????Z'),
    started_at TEXT NOT NULL DEFAULT (now()) CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (name, fire_at)
) STRICT;
INSERT INTO schedules (name, cron) VALUES ('cleanup-sessions', '0 2 * * *'), ('log-partitions', '30 2 * * *');
