-- Partitioning strategy
-- FIX 06: bounds carry the zone, or they would follow the zone of the session that creates them.
CREATE TABLE system_logs_2026_01 PARTITION OF system_logs
    FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE system_logs_2026_02 PARTITION OF system_logs
    FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');

-- What the DEFAULT partition holds of a month goes into the month's own table before that is attached. Runs as
-- app_definer, whose policy shows it the rows: the tables' owner is held by FORCE ROW LEVEL SECURITY and sees none.
CREATE FUNCTION take_log_month(p_table text, p_from timestamptz, p_to timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $fn$
DECLARE moved bigint;
BEGIN
    EXECUTE format('WITH gone AS (DELETE FROM public.system_logs_default WHERE "timestamp" >= $1 AND "timestamp" < $2 RETURNING *)
                    INSERT INTO public.%I SELECT * FROM gone', p_table) USING p_from, p_to;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END $fn$;

-- FIX 06: "Continue for remaining months": idempotent; LIKE + ATTACH takes SHARE UPDATE EXCLUSIVE on the parent, not ACCESS EXCLUSIVE,
-- so that writers go on. A month that began in the DEFAULT partition takes its rows along; meanwhile that partition can be read.
CREATE FUNCTION ensure_log_partitions(p_from date, p_to date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $fn$
DECLARE m date; n text; made integer := 0;
BEGIN
    FOR m IN SELECT generate_series(date_trunc('month', p_from::timestamp), date_trunc('month', p_to::timestamp), '1 month')::date LOOP
        n := 'system_logs_' || to_char(m, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || n) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.system_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', n);
        IF to_regclass('public.system_logs_default') IS NOT NULL THEN
            -- Nothing of this month may come in between the look and the attaching.
            LOCK TABLE public.system_logs_default IN SHARE ROW EXCLUSIVE MODE;
            EXECUTE format('GRANT INSERT ON public.%I TO app_definer', n);
            PERFORM public.take_log_month(n, m::timestamptz, (m + interval '1 month')::timestamptz);
            EXECUTE format('REVOKE INSERT ON public.%I FROM app_definer', n);
        END IF;
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
-- FIX 06: the catch-all keeps a log line whose month is missing; it is watched (log_partitions) and drained (drain_log_default).
CREATE TABLE system_logs_default PARTITION OF system_logs DEFAULT;
ALTER TABLE system_logs_default ENABLE ROW LEVEL SECURITY; ALTER TABLE system_logs_default FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_system_logs_default ON system_logs_default TO app_definer USING (true) WITH CHECK (true);
-- FIX 06: the seed's second name stays usable, for reads and writes, over the one partitioned table.
CREATE VIEW system_logs_partitioned WITH (security_invoker = true) AS SELECT * FROM system_logs;

-- The oldest month that waits in the DEFAULT partition. What lies before 2000 or further ahead than months are made is no
-- month of ours: such lines stay where they are, and are shown.
CREATE FUNCTION oldest_log_default() RETURNS date LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $fn$
    SELECT date_trunc('month', min("timestamp"))::date FROM public.system_logs_default
    WHERE "timestamp" >= '2000-01-01 00:00+00' AND "timestamp" < date_trunc('month', now()) + interval '4 months' $fn$;

-- Makes the oldest month that waits in the DEFAULT partition, with its rows. True: there was one; ask again.
CREATE FUNCTION drain_log_default() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $fn$
DECLARE m date := public.oldest_log_default();
BEGIN
    RETURN m IS NOT NULL AND public.ensure_log_partitions(m, m) > 0;
END $fn$;

-- Every place where lines lie: months, the DEFAULT partition, and months that were detached to be exported and dropped.
-- Rows are counted in the DEFAULT partition, and in a month that nobody analysed yet; else they are the planner's estimate.
CREATE FUNCTION log_partitions() RETURNS TABLE (name text, state text, from_at timestamptz, to_at timestamptz, lines bigint, is_exact boolean, size_bytes bigint)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $fn$
DECLARE estimate real;
BEGIN
    FOR name, state, estimate, size_bytes IN
        SELECT c.relname::text,
               CASE WHEN c.relname = 'system_logs_default' THEN 'default' WHEN c.relispartition THEN 'month' ELSE 'detached' END,
               c.reltuples, pg_total_relation_size(c.oid)
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND (c.relname = 'system_logs_default' OR c.relname ~ '^system_logs_\d{4}_\d{2}$' AND c.relispartition
               OR c.relname ~ '^system_logs_\d{4}_\d{2}_detached$')
        ORDER BY c.relname
    LOOP
        from_at := NULL; to_at := NULL;
        IF state <> 'default' THEN
            from_at := to_timestamp(substr(name, 13, 7), 'YYYY_MM');
            to_at := from_at + interval '1 month';
        END IF;
        is_exact := state = 'default' OR state = 'month' AND estimate < 0;
        lines := GREATEST(estimate, 0)::bigint;
        IF state = 'month' AND is_exact THEN
            -- Through the parent, whose policy holds for the definer; the bounds leave one partition.
            EXECUTE format('SELECT count(*) FROM public.system_logs WHERE "timestamp" >= %L AND "timestamp" < %L', from_at, to_at) INTO lines;
        ELSIF is_exact THEN
            EXECUTE format('SELECT count(*) FROM public.%I', name) INTO lines;
        END IF;
        RETURN NEXT;
    END LOOP;
END $fn$;

-- Retention, step 1: a month leaves the log. It keeps its lines under another name, which its reader and dropper know.
-- Only what is over for a month at least can leave.
CREATE FUNCTION detach_log_month(p_month text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms' AS $fn$
DECLARE n text := 'system_logs_' || p_month; gone text := n || '_detached';
BEGIN
    IF p_month !~ '^\d{4}_(0[1-9]|1[0-2])$' OR to_timestamp(p_month, 'YYYY_MM') + interval '2 months' > now()
       OR to_regclass('public.' || n) IS NULL OR to_regclass('public.' || gone) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE public.system_logs DETACH PARTITION public.%I', n);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', n, gone);
    -- It stands alone now: no policy of the parent holds, and nobody but the definer is granted anything.
    EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', gone);
    EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, app_user, app_service', gone);
    EXECUTE format('GRANT SELECT ON public.%I TO app_definer', gone);
    RETURN true;
END $fn$;

-- Retention, step 2: the lines of a detached month, in order, after a given one.
CREATE FUNCTION read_log_month(p_month text, p_after timestamptz, p_after_id uuid, p_limit bigint) RETURNS SETOF system_logs
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF p_month !~ '^\d{4}_\d{2}$' OR to_regclass('public.system_logs_' || p_month || '_detached') IS NULL THEN RETURN; END IF;
    RETURN QUERY EXECUTE format('SELECT * FROM public.%I WHERE ("timestamp", id) > ($1, $2) ORDER BY "timestamp", id LIMIT $3',
                                'system_logs_' || p_month || '_detached') USING p_after, p_after_id, p_limit;
END $fn$;

-- Retention, step 3: a detached month goes, if it still holds just as many lines as were exported. Answers how many went.
CREATE FUNCTION drop_log_month(p_month text, p_lines bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $fn$
DECLARE n text := 'system_logs_' || p_month || '_detached'; found bigint;
BEGIN
    IF p_month !~ '^\d{4}_\d{2}$' OR to_regclass('public.' || n) IS NULL THEN RETURN 0; END IF;
    EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', n);
    EXECUTE format('SELECT count(*) FROM public.%I', n) INTO found;
    IF found <> p_lines THEN
        RAISE EXCEPTION '% holds % lines, not the % that were exported; it stays', n, found, p_lines USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE public.%I', n);
    RETURN found;
END $fn$;

-- FIX 24: the full-text index is unusable behind row-level security; search runs as the definer with the policy spelled out.
-- Newest first, after a given line. The query is a tsquery's text, as Steward writes it for what a person types.
CREATE FUNCTION search_logs(p_query text, p_levels text[], p_module text, p_task uuid, p_user uuid, p_from timestamptz, p_to timestamptz,
    p_before timestamptz, p_before_id uuid, p_limit bigint) RETURNS SETOF system_logs LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $fn$
    SELECT l.* FROM public.system_logs l
    WHERE to_tsvector('english', l.message) @@ to_tsquery('english', p_query)
      AND (SELECT public.has_permission(public.current_user_id(), 'sign_in'))
      AND (l.user_id = (SELECT public.current_user_id()) OR (SELECT public.has_permission(public.current_user_id(), 'log_view_all')))
      AND l.level = ANY(p_levels) AND (p_module IS NULL OR l.module = p_module)
      AND (p_task IS NULL OR l.task_id = p_task) AND (p_user IS NULL OR l.user_id = p_user)
      AND l."timestamp" >= p_from AND l."timestamp" < p_to AND (l."timestamp", l.id) < (p_before, p_before_id)
    ORDER BY l."timestamp" DESC, l.id DESC LIMIT LEAST(p_limit, 1000) $fn$;

-- Who may: the service keeps the log, anybody searches it, and the steps in between are the functions' own.
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION take_log_month(text, timestamptz, timestamptz) OWNER TO app_definer;
ALTER FUNCTION oldest_log_default() OWNER TO app_definer;
ALTER FUNCTION log_partitions() OWNER TO app_definer;
ALTER FUNCTION read_log_month(text, timestamptz, uuid, bigint) OWNER TO app_definer;
ALTER FUNCTION search_logs(text, text[], text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, bigint) OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
GRANT SELECT ON system_logs TO app_definer;
GRANT SELECT, DELETE ON system_logs_default TO app_definer;
REVOKE ALL ON FUNCTION take_log_month(text, timestamptz, timestamptz), oldest_log_default(), drain_log_default(), log_partitions(),
    detach_log_month(text), read_log_month(text, timestamptz, uuid, bigint), drop_log_month(text, bigint),
    search_logs(text, text[], text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drain_log_default(), log_partitions(), detach_log_month(text), read_log_month(text, timestamptz, uuid, bigint),
    drop_log_month(text, bigint) TO app_service;
GRANT EXECUTE ON FUNCTION search_logs(text, text[], text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, bigint) TO app_user;
