-- Task assignment
-- FIX 23: SECURITY DEFINER with a fixed search_path; the caller is checked, the row must exist, old values are logged.
CREATE OR REPLACE FUNCTION assign_task(
    p_task_id UUID,
    p_assignee_id UUID,
    p_current_user_id UUID
) RETURNS VOID AS $fn$
DECLARE
    v_old public.tasks;
BEGIN
    IF p_current_user_id IS DISTINCT FROM public.current_user_id() THEN
        RAISE EXCEPTION 'Permission denied: caller is not the current user' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO v_old FROM public.tasks WHERE id = p_task_id FOR UPDATE;
    -- Check if user has permission to assign tasks (checked before "not found", so ids cannot be probed)
    IF NOT (public.has_permission(p_current_user_id, 'task_assign')
            OR (v_old.created_by = p_current_user_id AND public.has_permission(p_current_user_id, 'task_assign_own'))) IS TRUE THEN
        RAISE EXCEPTION 'Permission denied: Cannot assign tasks' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF v_old.id IS NULL THEN RAISE EXCEPTION 'Task % not found', p_task_id USING ERRCODE = 'no_data_found'; END IF;
    IF p_assignee_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM public.users WHERE id = p_assignee_id AND status = 'active') THEN
        RAISE EXCEPTION 'Assignee % is not an active user', p_assignee_id USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'tasks_assignee_active', TABLE = 'tasks';
    END IF;

    -- Log the assignment: trg_tasks_audit writes the row 'task_assigned' with the old and the new assignee, for this
    -- path and every other, so that an assignment stands in the audit exactly once.
    UPDATE public.tasks
    SET assigned_to = p_assignee_id, updated_at = CURRENT_TIMESTAMP
    WHERE id = p_task_id;
END;
$fn$ LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

-- FIX 24: the GIN index is unusable behind RLS (@@ is not leakproof); search runs as the definer with the policy spelled out.
CREATE FUNCTION search_tasks(p_query text, p_limit integer DEFAULT 50) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $fn$
    SELECT t.id FROM public.tasks t, websearch_to_tsquery('english', p_query) q
    WHERE to_tsvector('english', t.title || ' ' || COALESCE(t.description, '')) @@ q
      AND (SELECT public.has_permission(public.current_user_id(), 'sign_in'))
      AND (t.created_by = (SELECT public.current_user_id()) OR t.assigned_to = (SELECT public.current_user_id())
           OR (SELECT public.has_permission(public.current_user_id(), 'task_view_all'))
           OR (SELECT public.has_permission(public.current_user_id(), 'task_admin')))
    ORDER BY ts_rank(to_tsvector('english', t.title || ' ' || COALESCE(t.description, '')), q) DESC, t.id
    LIMIT LEAST(p_limit, 500) $fn$;

-- FIX 24: the same with filters, rank and marked text, for the store's own search language (crates/store/src/search.rs),
-- which makes the text that to_tsquery() reads. Ranked are the 2000 newest that match, so that a word that stands
-- everywhere costs a bounded time. The two arms are one: only one of them runs, and the second can use the indexes of
-- creator and assignee. p_open and p_close stand around what was found; the caller draws them, so that no text holds them.
CREATE FUNCTION find_tasks(p_tsquery text, p_open text, p_close text, p_status text, p_priority text, p_assigned_to uuid,
    p_created_from timestamptz, p_created_before timestamptz, p_tag text, p_limit integer)
  RETURNS TABLE (id uuid, title_marked text, description_marked text) LANGUAGE sql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp AS $fn$
    WITH newest AS MATERIALIZED (
        SELECT t.id, t.title, t.description, t.created_at, q FROM to_tsquery('english', p_tsquery) q, public.tasks t
        WHERE (SELECT public.has_permission(public.current_user_id(), 'sign_in'))
          AND (SELECT public.has_permission(public.current_user_id(), 'task_view_all')
                   OR public.has_permission(public.current_user_id(), 'task_admin')) IS TRUE
          AND to_tsvector('english', t.title || ' ' || COALESCE(t.description, '')) @@ q
          AND (p_status IS NULL OR t.status = p_status) AND (p_priority IS NULL OR t.priority = p_priority)
          AND (p_assigned_to IS NULL OR t.assigned_to = p_assigned_to) AND (p_tag IS NULL OR p_tag = ANY (t.tags))
          AND (p_created_from IS NULL OR t.created_at >= p_created_from)
          AND (p_created_before IS NULL OR t.created_at < p_created_before)
        UNION ALL
        SELECT t.id, t.title, t.description, t.created_at, q FROM to_tsquery('english', p_tsquery) q, public.tasks t
        WHERE (SELECT public.has_permission(public.current_user_id(), 'sign_in'))
          AND (SELECT public.has_permission(public.current_user_id(), 'task_view_all')
                   OR public.has_permission(public.current_user_id(), 'task_admin')) IS NOT TRUE
          AND (t.created_by = (SELECT public.current_user_id()) OR t.assigned_to = (SELECT public.current_user_id()))
          AND to_tsvector('english', t.title || ' ' || COALESCE(t.description, '')) @@ q
          AND (p_status IS NULL OR t.status = p_status) AND (p_priority IS NULL OR t.priority = p_priority)
          AND (p_assigned_to IS NULL OR t.assigned_to = p_assigned_to) AND (p_tag IS NULL OR p_tag = ANY (t.tags))
          AND (p_created_from IS NULL OR t.created_at >= p_created_from)
          AND (p_created_before IS NULL OR t.created_at < p_created_before)
        ORDER BY created_at DESC, id DESC LIMIT 2000
    ), best AS (
        SELECT n.*, ts_rank(setweight(to_tsvector('english', n.title), 'A') ||
                            setweight(to_tsvector('english', COALESCE(n.description, '')), 'B'), n.q) AS rank
        FROM newest n ORDER BY rank DESC, n.created_at DESC, n.id LIMIT GREATEST(LEAST(p_limit, 500), 0)
    )
    SELECT b.id,
           ts_headline('english', b.title, b.q, format('HighlightAll=true, StartSel="%s", StopSel="%s"', p_open, p_close)),
           ts_headline('english', b.description, b.q, format('MaxFragments=2, MaxWords=24, MinWords=8, FragmentDelimiter=" … ", StartSel="%s", StopSel="%s"', p_open, p_close))
    FROM best b ORDER BY b.rank DESC, b.created_at DESC, b.id $fn$;
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION find_tasks(text, text, text, text, text, uuid, timestamptz, timestamptz, text, integer) OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION find_tasks(text, text, text, text, text, uuid, timestamptz, timestamptz, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_tasks(text, text, text, text, text, uuid, timestamptz, timestamptz, text, integer) TO app_user;

-- Cleanup expired sessions
-- FIX 23: fixed search_path and definer; revoked sessions go too.
CREATE OR REPLACE FUNCTION cleanup_expired_sessions()
RETURNS INTEGER AS $fn$
DECLARE
    deleted_count INTEGER;
BEGIN
    DELETE FROM public.sessions WHERE expires_at < NOW() OR is_revoked;
    GET DIAGNOSTICS deleted_count = ROW_COUNT;
    RETURN deleted_count;
END;
$fn$ LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp;

-- Tells every process that remembers it what changed, in the same transaction, whichever way the change came. Arguments of
-- the trigger: the topic, the column that is its key, and columns whose change alone says nothing. On SQLite the writer's
-- temporary triggers do the same (crates/store/src/sqlite/changes.sql). Equal words of one transaction are sent once.
CREATE FUNCTION signal_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
DECLARE
    v_old jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    v_new jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    v_quiet text[] := string_to_array(NULLIF(TG_ARGV[2], ''), ',') || 'updated_at'::text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN PERFORM pg_notify('steward', 'everything'); RETURN NULL; END IF;
    IF TG_OP = 'UPDATE' AND v_old - v_quiet = v_new - v_quiet THEN RETURN NULL; END IF;
    PERFORM pg_notify('steward', TG_ARGV[0] || ':' || (v_old ->> TG_ARGV[1])) WHERE v_old IS NOT NULL;
    PERFORM pg_notify('steward', TG_ARGV[0] || ':' || (v_new ->> TG_ARGV[1])) WHERE v_new IS NOT NULL;
    RETURN NULL;
END $fn$;
CREATE TRIGGER signal_sessions         AFTER UPDATE OF is_revoked OR DELETE ON sessions         FOR EACH ROW EXECUTE FUNCTION signal_change('sessions', 'token', 'last_accessed,expires_at');
CREATE TRIGGER signal_users            AFTER INSERT OR UPDATE OR DELETE     ON users            FOR EACH ROW EXECUTE FUNCTION signal_change('users', 'id', 'last_login');
CREATE TRIGGER signal_agents           AFTER INSERT OR UPDATE OR DELETE     ON agents           FOR EACH ROW EXECUTE FUNCTION signal_change('users', 'user_id', '');
CREATE TRIGGER signal_role_permissions AFTER INSERT OR UPDATE OR DELETE     ON role_permissions FOR EACH ROW EXECUTE FUNCTION signal_change('role_permissions', 'role', '');
CREATE TRIGGER signal_policies         AFTER INSERT OR UPDATE OR DELETE     ON policies         FOR EACH ROW EXECUTE FUNCTION signal_change('policies', 'id', '');
CREATE TRIGGER signal_mcp_servers      AFTER INSERT OR UPDATE OR DELETE     ON mcp_servers      FOR EACH ROW EXECUTE FUNCTION signal_change('mcp_servers', 'id', 'last_heartbeat');
CREATE TRIGGER signal_server_tools     AFTER INSERT OR UPDATE OR DELETE     ON server_tools     FOR EACH ROW EXECUTE FUNCTION signal_change('server_tools', 'server_id', 'last_seen');
CREATE TRIGGER signal_watchers         AFTER INSERT OR UPDATE OR DELETE     ON watchers         FOR EACH ROW EXECUTE FUNCTION signal_change('watchers', 'id', 'last_run,last_error,error_count');
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['sessions', 'users', 'agents', 'role_permissions', 'policies', 'mcp_servers', 'server_tools', 'watchers'] LOOP
    EXECUTE format('CREATE TRIGGER signal_truncate AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION signal_change()', t);
  END LOOP;
END $do$;
