-- Which tasks wait for some, as far as the reader may see them. The index of dependencies is unusable behind row-level
-- security (&& is not leakproof), so it is looked for as the definer with the policy spelled out, as a search is: by that
-- index alone, and a thousand of them at most.
CREATE FUNCTION tasks_after(p_ids uuid[], p_limit bigint) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
  SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $fn$
    WITH found AS MATERIALIZED (
        SELECT t.id, t.created_at, t.created_by, t.assigned_to FROM public.tasks t WHERE t.dependencies && p_ids LIMIT 1000
    )
    SELECT f.id FROM found f
    WHERE (SELECT public.has_permission(public.current_user_id(), 'sign_in'))
      AND (f.created_by = (SELECT public.current_user_id()) OR f.assigned_to = (SELECT public.current_user_id())
           OR (SELECT public.has_permission(public.current_user_id(), 'task_view_all'))
           OR (SELECT public.has_permission(public.current_user_id(), 'task_admin')))
    ORDER BY f.created_at, f.id LIMIT p_limit $fn$;
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION tasks_after(uuid[], bigint) OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION tasks_after(uuid[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tasks_after(uuid[], bigint) TO app_user;

-- A page of one status has a function of its own since 0044: the arm for it here was asked by nobody.
DROP FUNCTION tasks_of_everybody(timestamptz, uuid, bigint, text);
CREATE FUNCTION tasks_of_everybody(p_before timestamptz, p_before_id uuid, p_limit bigint) RETURNS SETOF tasks
  LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF (public.is_service() OR (SELECT r.permissions && ARRAY['*', 'task_view_all', 'task_admin'] FROM public.my_rights r)) IS NOT TRUE THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM public.tasks t WHERE (t.created_at, t.id) < (p_before, p_before_id)
        ORDER BY t.created_at DESC, t.id DESC LIMIT p_limit;
END $fn$;
REVOKE ALL ON FUNCTION tasks_of_everybody(timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tasks_of_everybody(timestamptz, uuid, bigint) TO app_user, app_service;
