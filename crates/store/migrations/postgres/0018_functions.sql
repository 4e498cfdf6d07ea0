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
      AND (t.created_by = (SELECT public.current_user_id()) OR t.assigned_to = (SELECT public.current_user_id())
           OR (SELECT public.has_permission(public.current_user_id(), 'task_view_all')))
    ORDER BY ts_rank(to_tsvector('english', t.title || ' ' || COALESCE(t.description, '')), q) DESC, t.id
    LIMIT LEAST(p_limit, 500) $fn$;

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
