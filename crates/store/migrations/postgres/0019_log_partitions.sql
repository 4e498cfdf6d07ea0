-- Partitioning strategy
-- FIX 06: bounds carry the zone, or they would follow the zone of the session that creates them.
CREATE TABLE system_logs_2026_01 PARTITION OF system_logs
    FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE system_logs_2026_02 PARTITION OF system_logs
    FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');
-- FIX 06: "Continue for remaining months": idempotent; LIKE + ATTACH takes SHARE UPDATE EXCLUSIVE on the parent, not ACCESS EXCLUSIVE.
CREATE FUNCTION ensure_log_partitions(p_from date, p_to date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $fn$
DECLARE m date; n text; made integer := 0;
BEGIN
    FOR m IN SELECT generate_series(date_trunc('month', p_from::timestamp), date_trunc('month', p_to::timestamp), '1 month')::date LOOP
        n := 'system_logs_' || to_char(m, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || n) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.system_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', n);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', n);
        EXECUTE format('ALTER TABLE public.system_logs ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       n, m::timestamptz, (m + interval '1 month')::timestamptz);
        made := made + 1;
    END LOOP;
    RETURN made;
END $fn$;
SELECT ensure_log_partitions(current_date, (current_date + interval '3 months')::date);
-- FIX 06: a policy on the parent does not guard a partition read by its own name; no policy there means nobody.
ALTER TABLE system_logs_2026_01 ENABLE ROW LEVEL SECURITY; ALTER TABLE system_logs_2026_01 FORCE ROW LEVEL SECURITY;
ALTER TABLE system_logs_2026_02 ENABLE ROW LEVEL SECURITY; ALTER TABLE system_logs_2026_02 FORCE ROW LEVEL SECURITY;
-- FIX 06: the catch-all keeps a log line whose month is missing; monitor that it stays empty, and create months ahead of time.
CREATE TABLE system_logs_default PARTITION OF system_logs DEFAULT;
ALTER TABLE system_logs_default ENABLE ROW LEVEL SECURITY; ALTER TABLE system_logs_default FORCE ROW LEVEL SECURITY;
-- FIX 06: the seed's second name stays usable, for reads and writes, over the one partitioned table.
CREATE VIEW system_logs_partitioned WITH (security_invoker = true) AS SELECT * FROM system_logs;
