-- What runs by the clock. One row a job; a row in schedule_fires for each time it fired, so that no two nodes fire it twice.
CREATE TABLE schedules (
    name VARCHAR(100) PRIMARY KEY,
    id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(), -- by which the audit trail names it
    cron VARCHAR(100) NOT NULL,
    time_zone VARCHAR(100) NOT NULL DEFAULT 'UTC',
    is_active BOOLEAN NOT NULL DEFAULT true,           -- whether Steward fires it
    run_by VARCHAR(20) NOT NULL DEFAULT 'steward',
    last_fire_at TIMESTAMPTZ,
    next_fire_at TIMESTAMPTZ,
    last_status VARCHAR(20),
    last_result TEXT,
    last_duration_ms BIGINT CHECK (last_duration_ms >= 0),
    last_was_missed BOOLEAN NOT NULL DEFAULT false,    -- its time passed while nothing ran, and it ran late
    requested_at TIMESTAMPTZ,                          -- a person wanted it to run beside its times
    CONSTRAINT chk_schedule_run_by CHECK (run_by IN ('steward', 'pg_cron')),
    CONSTRAINT chk_schedule_one_place CHECK (NOT (is_active AND run_by = 'pg_cron')),
    CONSTRAINT chk_schedule_status CHECK (last_status IN ('running', 'done', 'failed'))
);
CREATE TABLE schedule_fires (
    name VARCHAR(100) NOT NULL REFERENCES schedules(name) ON DELETE CASCADE,
    fire_at TIMESTAMPTZ NOT NULL,
    state VARCHAR(20) NOT NULL DEFAULT 'started',
    worker VARCHAR(100) NOT NULL DEFAULT '',
    attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 0),
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    lease_until TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP, -- past it, whoever ran it is taken for dead
    finished_at TIMESTAMPTZ,
    result TEXT,
    PRIMARY KEY (name, fire_at),
    CONSTRAINT chk_fire_state CHECK (state IN ('started', 'done', 'failed')),
    CONSTRAINT chk_fire_finished CHECK ((state = 'started') = (finished_at IS NULL))
);
-- A job runs once at a time, whatever its times.
CREATE UNIQUE INDEX uq_schedule_fires_running ON schedule_fires(name) WHERE state = 'started';

INSERT INTO schedules (name, id, cron) VALUES
    ('cleanup-sessions', '00000000-0000-7000-8000-0000005c0001', '0 2 * * *'),
    ('log-partitions', '00000000-0000-7000-8000-0000005c0002', '30 2 * * *'),
    ('log-retention', '00000000-0000-7000-8000-0000005c0003', '0 3 * * *'),
    ('attachments', '00000000-0000-7000-8000-0000005c0004', '30 3 * * *'),
    ('statistics', '00000000-0000-7000-8000-0000005c0005', '0 4 * * *');

-- What a person changes stands in the audit trail; how it went stands in the row itself.
CREATE TRIGGER trg_schedules_audit AFTER UPDATE ON schedules FOR EACH ROW
    EXECUTE FUNCTION audit_row('schedule', '', 'last_fire_at,next_fire_at,last_status,last_result,last_duration_ms,last_was_missed');

-- (Their other policies stand in 0021. Without FORCE: follow_pg_cron() works on them as their owner.)
CREATE POLICY schedules_admin ON schedules FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'schedule_admin')));

-- FIX 25: pg_cron is optional, lives in one database only, and nested $$ needs its own tag; without it the application
-- schedules. This moves the database's own jobs to where they can run, also when pg_cron comes or goes later: in one
-- transaction each, so that a job never stands in both places. It answers how many it moved or registered anew.
CREATE FUNCTION follow_pg_cron() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $fn$
DECLARE
    v_utc CONSTANT text[] := ARRAY['UTC', 'GMT', 'Etc/UTC'];
    v_usable boolean := false; v_same_zone boolean := false; v_taken boolean; moved integer := 0; s record; d record;
    v_job bigint; v_schedule text; v_command text; v_running boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('steward.follow_pg_cron', 0)) THEN RETURN 0; END IF;
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        -- Its library must be loaded and this role must be let in: then it says that there is no such job.
        BEGIN
            EXECUTE 'SELECT cron.unschedule((-1)::bigint)';
        EXCEPTION WHEN OTHERS THEN v_usable := SQLERRM LIKE 'could not find valid entry for job%';
        END;
        BEGIN
            v_same_zone := COALESCE(current_setting('cron.timezone', true), 'GMT') = ANY (v_utc);
        EXCEPTION WHEN insufficient_privilege THEN v_same_zone := false;
        END;
    END IF;
    FOR s IN
        SELECT g.*, c.command FROM public.schedules g JOIN (VALUES
            ('cleanup-sessions', 'SELECT public.cleanup_expired_sessions();'),
            ('log-partitions', 'SELECT public.ensure_log_partitions(current_date, (current_date + interval ''3 months'')::date);')
        ) AS c (job, command) ON c.job = g.name ORDER BY g.name
    LOOP
        v_job := NULL; v_taken := false;
        IF v_usable THEN
            EXECUTE 'SELECT jobid, schedule, command, active FROM cron.job WHERE jobname = $1 AND database = current_database()
                     ORDER BY username = current_user DESC LIMIT 1' INTO v_job, v_schedule, v_command, v_running USING s.name;
            -- Only what both read alike: five plain fields, and not a day of the month together with a day of the week.
            IF v_same_zone AND (s.is_active OR s.run_by = 'pg_cron') AND s.time_zone = ANY (v_utc)
               AND s.cron ~ '^[-0-9*,/]+( [-0-9*,/]+){4}$' AND s.cron ~ '( \* [^ ]+ [^ ]+| \*)$' THEN
                BEGIN
                    IF v_job IS NULL OR v_schedule <> s.cron OR v_command <> s.command OR NOT v_running THEN
                        EXECUTE format('SELECT cron.schedule(%L, %L, %L)', s.name, s.cron, s.command) INTO d;
                        IF NOT v_running THEN EXECUTE format('SELECT cron.alter_job(%s, active := true)', v_job); END IF;
                        moved := moved + 1;
                    END IF;
                    v_taken := true;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'pg_cron does not take the job %: %', s.name, SQLERRM;
                END;
            END IF;
        END IF;
        IF v_taken THEN
            IF s.run_by <> 'pg_cron' THEN
                UPDATE public.schedules SET is_active = false, run_by = 'pg_cron', next_fire_at = NULL WHERE name = s.name;
            END IF;
            EXECUTE 'SELECT d.start_time, d.status, left(d.return_message, 1000) AS said,
                       (extract(epoch FROM d.end_time - d.start_time) * 1000)::bigint AS ms
                     FROM cron.job_run_details d JOIN cron.job j USING (jobid)
                     WHERE j.jobname = $1 AND j.database = current_database() AND d.start_time IS NOT NULL ORDER BY d.runid DESC LIMIT 1' INTO d USING s.name;
            UPDATE public.schedules SET last_fire_at = d.start_time, last_result = d.said, last_duration_ms = GREATEST(d.ms, 0), last_was_missed = false,
                last_status = CASE d.status WHEN 'succeeded' THEN 'done' WHEN 'failed' THEN 'failed' ELSE 'running' END
            WHERE name = s.name AND d.start_time IS NOT NULL AND (last_fire_at, last_result) IS DISTINCT FROM (d.start_time, d.said);
            EXECUTE 'DELETE FROM cron.job_run_details d USING cron.job j
                     WHERE j.jobid = d.jobid AND j.jobname = $1 AND j.database = current_database() AND d.end_time < now() - interval ''90 days''' USING s.name;
        ELSE
            IF v_job IS NOT NULL THEN
                EXECUTE format('SELECT cron.unschedule(%s::bigint)', v_job);
                moved := moved + 1;
            END IF;
            UPDATE public.schedules SET is_active = true, run_by = 'steward', next_fire_at = NULL WHERE name = s.name AND run_by = 'pg_cron';
            IF FOUND AND v_job IS NULL THEN moved := moved + 1; END IF;
        END IF;
    END LOOP;
    RETURN moved;
END $fn$;

-- Schedule for daily execution: cron.schedule('cleanup-sessions', '0 2 * * *', …) where that can be, else the rows above.
SELECT follow_pg_cron();

-- Fresh figures for the planner where much has changed, and for partitioned tables, which autovacuum passes over.
-- One table a call, so that none takes long: 1 where there was one, then ask again; 0 where none is left.
CREATE FUNCTION refresh_statistics() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $fn$
DECLARE t regclass;
BEGIN
    FOR t IN
        SELECT c.oid::regclass FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND pg_has_role(c.relowner, 'USAGE')
          AND (c.relkind = 'r' AND s.n_mod_since_analyze > 50 + 0.05 * GREATEST(c.reltuples, 0)
               OR c.relkind = 'p' AND COALESCE(s.last_analyze, '-infinity') < now() - interval '20 hours')
        ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('ANALYZE %s', t);
            RETURN 1;
        EXCEPTION WHEN lock_not_available THEN NULL; -- its turn comes tomorrow
        END;
    END LOOP;
    RETURN 0;
END $fn$;
