-- What runs by the clock. One row a job; a row in schedule_fires for each time it fired, so that no two nodes fire it twice.
CREATE TABLE schedules (
    name VARCHAR(100) PRIMARY KEY,
    cron VARCHAR(100) NOT NULL,
    time_zone VARCHAR(100) NOT NULL DEFAULT 'UTC',
    is_active BOOLEAN NOT NULL DEFAULT true,
    last_fire_at TIMESTAMPTZ,
    next_fire_at TIMESTAMPTZ,
    last_result TEXT
);
CREATE TABLE schedule_fires (
    name VARCHAR(100) NOT NULL REFERENCES schedules(name) ON DELETE CASCADE,
    fire_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (name, fire_at)
);
INSERT INTO schedules (name, cron) VALUES ('cleanup-sessions', '0 2 * * *'), ('log-partitions', '30 2 * * *');

-- Schedule for daily execution
-- FIX 25: pg_cron is optional, lives in one database only, and nested $$ needs its own tag; without it the application schedules.
DO $do$ BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
    PERFORM cron.schedule('cleanup-sessions', '0 2 * * *', $job$SELECT public.cleanup_expired_sessions();$job$);
    PERFORM cron.schedule('log-partitions', '30 2 * * *', $job$SELECT public.ensure_log_partitions(current_date, (current_date + interval '3 months')::date);$job$);
    UPDATE public.schedules SET is_active = false;
  END IF;
END $do$;
