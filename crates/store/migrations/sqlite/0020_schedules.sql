-- What runs by the clock. One row a job; a row in schedule_fires for each time it fired, so that nothing fires twice.
-- (Steward's own scheduler does the work; there is no pg_cron here.)
CREATE TABLE schedules (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) <= 100),
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 36 AND id = lower(id)) DEFAULT -- by which the audit trail names it
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    cron TEXT NOT NULL CHECK (length(cron) <= 100),
    time_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) <= 100),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)), -- whether Steward fires it
    run_by TEXT NOT NULL DEFAULT 'steward',
    last_fire_at TEXT CHECK (last_fire_at GLOB '????-??-??T??:??:??.??????Z'),
    next_fire_at TEXT CHECK (next_fire_at GLOB '????-??-??T??:??:??.??????Z'),
    last_status TEXT,
    last_result TEXT,
    last_duration_ms INTEGER CONSTRAINT schedules_last_duration_ms_check CHECK (last_duration_ms >= 0),
    last_was_missed INTEGER NOT NULL DEFAULT 0 CHECK (last_was_missed IN (0, 1)), -- its time passed while nothing ran, and it ran late
    requested_at TEXT CHECK (requested_at GLOB '????-??-??T??:??:??.??????Z'), -- a person wanted it to run beside its times
    CONSTRAINT chk_schedule_run_by CHECK (run_by IN ('steward', 'pg_cron')),
    CONSTRAINT chk_schedule_one_place CHECK (NOT (is_active AND run_by = 'pg_cron')),
    CONSTRAINT chk_schedule_status CHECK (last_status IN ('running', 'done', 'failed'))
) STRICT;
CREATE TABLE schedule_fires (
    name TEXT NOT NULL CHECK (length(name) <= 100) REFERENCES schedules(name) ON DELETE CASCADE,
    fire_at TEXT NOT NULL CHECK (fire_at GLOB '????-??-??T??:??:??.??????Z'),
    state TEXT NOT NULL DEFAULT 'started',
    worker TEXT NOT NULL DEFAULT '' CHECK (length(worker) <= 100),
    attempt INTEGER NOT NULL DEFAULT 1 CONSTRAINT schedule_fires_attempt_check CHECK (attempt >= 0),
    started_at TEXT NOT NULL DEFAULT (now()) CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    lease_until TEXT NOT NULL DEFAULT (now()) CHECK (lease_until GLOB '????-??-??T??:??:??.??????Z'), -- past it, whoever ran it is taken for dead
    finished_at TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.??????Z'),
    result TEXT,
    PRIMARY KEY (name, fire_at),
    CONSTRAINT chk_fire_state CHECK (state IN ('started', 'done', 'failed')),
    CONSTRAINT chk_fire_finished CHECK ((state = 'started') = (finished_at IS NULL))
) STRICT;
-- A job runs once at a time, whatever its times.
CREATE UNIQUE INDEX uq_schedule_fires_running ON schedule_fires(name) WHERE state = 'started';

INSERT INTO schedules (name, id, cron) VALUES
    ('cleanup-sessions', '00000000-0000-7000-8000-0000005c0001', '0 2 * * *'),
    ('log-partitions', '00000000-0000-7000-8000-0000005c0002', '30 2 * * *'),
    ('log-retention', '00000000-0000-7000-8000-0000005c0003', '0 3 * * *'),
    ('attachments', '00000000-0000-7000-8000-0000005c0004', '30 3 * * *'),
    ('statistics', '00000000-0000-7000-8000-0000005c0005', '0 4 * * *');

-- What a person changes stands in the audit trail; how it went stands in the row itself.
CREATE TRIGGER trg_schedules_audit AFTER UPDATE OF name, id, cron, time_zone, is_active, run_by, requested_at ON schedules
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'schedule_updated', 'schedule', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'name', OLD.name, NEW.name, 'id', OLD.id, NEW.id, 'cron', OLD.cron, NEW.cron, 'time_zone', OLD.time_zone, NEW.time_zone,
        'is_active:bool', OLD.is_active, NEW.is_active, 'run_by', OLD.run_by, NEW.run_by,
        'requested_at:time', OLD.requested_at, NEW.requested_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
