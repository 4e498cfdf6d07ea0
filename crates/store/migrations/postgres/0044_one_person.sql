-- What one person may see costs the same however much is his: also where nearly every row is.
-- A policy that asks whether a row's task may be seen was answered from a table of all the tasks that may be, made anew
-- for each statement. OFFSET 0 changes no answer; it has the task of each row that is met looked up by its id.
ALTER POLICY approvals_view ON approvals USING (
    requested_by = (SELECT current_user_id())::text
    OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = (SELECT current_user_id()) OFFSET 0)
    OR (SELECT permissions && ARRAY['*', 'approval_view_all'] AS is_allowed FROM my_rights));
ALTER POLICY approvals_decide ON approvals
    USING (status = 'pending' AND ((SELECT permissions && ARRAY['*', 'approval_decide'] AS is_allowed FROM my_rights)
        OR ((SELECT permissions && ARRAY['*', 'approval_decide_own'] AS is_allowed FROM my_rights)
            AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = (SELECT current_user_id()) OFFSET 0))));
ALTER POLICY approval_calls_view ON approval_calls
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_calls.approval_id OFFSET 0));
ALTER POLICY approval_edits_view ON approval_edits
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_edits.approval_id OFFSET 0));
ALTER POLICY approval_votes_view ON approval_votes
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_votes.approval_id OFFSET 0));
ALTER POLICY file_attachments_view ON file_attachments USING (
    uploaded_by = (SELECT current_user_id())
    OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = file_attachments.task_id OFFSET 0));
ALTER POLICY audit_trail_view ON audit_trail USING (
    user_id = (SELECT current_user_id())
    OR (SELECT permissions && ARRAY['*', 'audit_view_all'] AS is_allowed FROM my_rights)
    OR (entity_type = 'task' AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = audit_trail.entity_id OFFSET 0)));
ALTER POLICY task_provenance_view ON task_provenance
    USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_provenance.task_id OFFSET 0));
ALTER POLICY runs_view ON runs USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = runs.task_id OFFSET 0));
ALTER POLICY steps_view ON steps USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = steps.task_id OFFSET 0));
ALTER POLICY model_turns_view ON model_turns USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = model_turns.task_id OFFSET 0));

-- A column that holds one of a few words: the planner may not believe that there is only the one it saw. It is told at
-- the next ANALYZE, which the database does by itself and `steward db maintain` at once.
ALTER TABLE tasks ALTER COLUMN status SET (n_distinct = 5);
ALTER TABLE approvals ALTER COLUMN status SET (n_distinct = 4);
ALTER TABLE notifications ALTER COLUMN status SET (n_distinct = 3);

-- The part of a page of one status that only those get who may see everybody's tasks, as tasks_of_everybody() for all. It is
-- planned with sorting off: a rare status is then found by the index that has status and order, and not by walking everything
-- by time, nor by sorting all that stands so.
CREATE FUNCTION tasks_of_everybody_of(p_status text, p_before timestamptz, p_before_id uuid, p_limit bigint) RETURNS SETOF tasks
  LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, public, pg_temp SET enable_sort = off SET enable_incremental_sort = off AS $fn$
BEGIN
    IF (public.is_service() OR (SELECT r.permissions && ARRAY['*', 'task_view_all', 'task_admin'] FROM public.my_rights r)) IS NOT TRUE THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM public.tasks t WHERE t.status = p_status AND (t.created_at, t.id) < (p_before, p_before_id)
        ORDER BY t.created_at DESC, t.id DESC LIMIT p_limit;
END $fn$;
REVOKE ALL ON FUNCTION tasks_of_everybody_of(text, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tasks_of_everybody_of(text, timestamptz, uuid, bigint) TO app_user, app_service;
