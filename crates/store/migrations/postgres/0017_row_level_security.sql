-- Row-level security
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE approvals ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_logs ENABLE ROW LEVEL SECURITY;
-- FIX 08: without FORCE the table owner skips every policy (pg_dump then needs a BYPASSRLS or superuser role).
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
ALTER TABLE approvals FORCE ROW LEVEL SECURITY;
ALTER TABLE system_logs FORCE ROW LEVEL SECURITY;

-- FIX 09: (SELECT f()) makes the planner call the function once a statement instead of once a row, here and below.
CREATE POLICY user_can_view_own_tasks ON tasks
    FOR SELECT TO app_user
    USING (created_by = (SELECT current_user_id()));

-- FIX 07: FOR ALL let the assignee delete the task and insert rows under any creator; it is split by command.
CREATE POLICY user_can_view_assigned_tasks ON tasks
    FOR SELECT TO app_user
    USING (assigned_to = (SELECT current_user_id()));
CREATE POLICY user_can_modify_assigned_tasks ON tasks
    FOR UPDATE TO app_user
    USING (assigned_to = (SELECT current_user_id()))
    WITH CHECK (assigned_to = (SELECT current_user_id()));
-- FIX 07: the creator could neither create, edit nor delete a task of his own.
CREATE POLICY user_can_create_tasks ON tasks
    FOR INSERT TO app_user
    WITH CHECK (created_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'task_create')));
CREATE POLICY user_can_modify_own_tasks ON tasks
    FOR UPDATE TO app_user
    USING (created_by = (SELECT current_user_id()))
    WITH CHECK (created_by = (SELECT current_user_id()));
CREATE POLICY user_can_delete_own_tasks ON tasks
    FOR DELETE TO app_user
    USING (created_by = (SELECT current_user_id()));
-- FIX 07: admin and observer (roles of chk_role) had no policy.
CREATE POLICY admin_all_tasks ON tasks
    FOR ALL TO app_user
    USING ((SELECT has_permission(current_user_id(), 'task_admin')));
CREATE POLICY observer_can_view_tasks ON tasks
    FOR SELECT TO app_user
    USING ((SELECT has_permission(current_user_id(), 'task_view_all')));
-- FIX 07: permissive policies are OR-ed; only a RESTRICTIVE one keeps observers and inactive users from writing.
CREATE POLICY writers_only_upd ON tasks AS RESTRICTIVE FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'task_create')));
CREATE POLICY writers_only_del ON tasks AS RESTRICTIVE FOR DELETE TO app_user USING ((SELECT has_permission(current_user_id(), 'task_create')));

-- FIX 10: approvals and system_logs had RLS on and no policy, which denies everything.
CREATE POLICY approvals_view ON approvals FOR SELECT TO app_user USING (
    requested_by = (SELECT current_user_id())::text
    OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = (SELECT current_user_id()))
    OR (SELECT has_permission(current_user_id(), 'approval_view_all')));
CREATE POLICY approvals_request ON approvals FOR INSERT TO app_user WITH CHECK (
    requested_by = (SELECT current_user_id())::text AND status = 'pending'
    AND (SELECT has_permission(current_user_id(), 'task_create'))
    AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id));
CREATE POLICY approvals_decide ON approvals FOR UPDATE TO app_user
    USING (status = 'pending' AND ((SELECT has_permission(current_user_id(), 'approval_decide'))
        OR ((SELECT has_permission(current_user_id(), 'approval_decide_own'))
            AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = (SELECT current_user_id())))))
    WITH CHECK (status IN ('approved', 'rejected') AND COALESCE(approved_by, rejected_by) = (SELECT current_user_id()));
CREATE POLICY system_logs_view ON system_logs FOR SELECT TO app_user USING (
    user_id = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'log_view_all')));
-- In one's own name or in nobody's; who may not sign in writes no line at all (active_only below).
CREATE POLICY system_logs_write ON system_logs FOR INSERT TO app_user WITH CHECK (
    user_id IS NULL OR user_id = (SELECT current_user_id()));
-- FIX 08: the definer role works through its own policies, so no role needs BYPASSRLS.
CREATE POLICY definer_tasks ON tasks TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY definer_approvals ON approvals TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY definer_system_logs ON system_logs TO app_definer USING (true) WITH CHECK (true);

-- Beyond the three tables the specification names: everything that belongs to somebody is guarded alike.
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['users','agents','role_permissions','mcp_servers','watchers','sessions','file_attachments','notifications',
    'audit_trail','audit_chain','policies','task_provenance','task_queue','runs','steps','approval_calls','approval_edits','server_tools',
    'watcher_events','watcher_cursors','setup_links'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY definer_%s ON %I TO app_definer USING (true) WITH CHECK (true)', t, t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
CREATE POLICY service_tasks ON tasks TO app_service USING (true) WITH CHECK (true);
CREATE POLICY service_approvals ON approvals TO app_service USING (true) WITH CHECK (status IN ('pending', 'expired'));
CREATE POLICY service_system_logs ON system_logs TO app_service USING (true) WITH CHECK (true);

-- Everybody active may know who there is (columns are limited by grants); only a user administrator changes it.
CREATE POLICY users_view ON users FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY users_admin ON users FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'user_admin')));
CREATE POLICY agents_view ON agents FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY agents_admin ON agents FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'user_admin')));
CREATE POLICY role_permissions_view ON role_permissions FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));

CREATE POLICY mcp_servers_view ON mcp_servers FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY mcp_servers_admin ON mcp_servers FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'server_admin')));
CREATE POLICY server_tools_view ON server_tools FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY server_tools_admin ON server_tools FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'server_admin')));
CREATE POLICY policies_view ON policies FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY policies_admin ON policies FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin')));

CREATE POLICY watchers_view ON watchers FOR SELECT TO app_user USING (
    created_by = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'watcher_view_all')));
CREATE POLICY watchers_own ON watchers FOR ALL TO app_user
    USING (created_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'watcher_create')));
CREATE POLICY watchers_admin ON watchers FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), 'watcher_admin')));
CREATE POLICY watcher_events_view ON watcher_events FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM watchers w WHERE w.id = watcher_events.watcher_id));
CREATE POLICY watcher_events_add ON watcher_events FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM watchers w WHERE w.id = watcher_events.watcher_id AND w.created_by = (SELECT current_user_id())));
CREATE POLICY watcher_cursors_own ON watcher_cursors FOR ALL TO app_user
    USING (EXISTS (SELECT 1 FROM watchers w WHERE w.id = watcher_cursors.watcher_id AND w.created_by = (SELECT current_user_id())));

-- One's own sessions are seen and ended; a session that was ended stays so.
CREATE POLICY sessions_own ON sessions FOR ALL TO app_user USING (user_id = (SELECT current_user_id()))
    WITH CHECK (user_id = (SELECT current_user_id()) AND is_revoked);
CREATE POLICY notifications_own ON notifications FOR ALL TO app_user USING (user_id = (SELECT current_user_id()));
-- Whoever works on a task may tell the person who wants it done.
CREATE POLICY notifications_tell_creator ON notifications FOR INSERT TO app_user WITH CHECK (EXISTS (
    SELECT 1 FROM tasks t WHERE t.assigned_to = (SELECT current_user_id()) AND t.created_by = notifications.user_id));
CREATE POLICY file_attachments_view ON file_attachments FOR SELECT TO app_user USING (
    uploaded_by = (SELECT current_user_id()) OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = file_attachments.task_id));
-- Nobody hangs a file on a task he does not see.
CREATE POLICY file_attachments_add ON file_attachments FOR INSERT TO app_user WITH CHECK (
    uploaded_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'task_create'))
    AND (task_id IS NULL OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = file_attachments.task_id)));
-- Steward removes a file's row when its time is over, and no other.
CREATE POLICY file_attachments_over ON file_attachments AS RESTRICTIVE FOR DELETE TO app_service USING (expires_at <= now());
CREATE POLICY audit_trail_view ON audit_trail FOR SELECT TO app_user USING (
    user_id = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'audit_view_all'))
    OR (entity_type = 'task' AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = audit_trail.entity_id)));
CREATE POLICY audit_chain_view ON audit_chain FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'audit_view_all')));

-- What belongs to a task is seen by whoever sees the task, and written by whom it is assigned to.
CREATE POLICY task_provenance_view ON task_provenance FOR SELECT TO app_user USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id));
CREATE POLICY task_provenance_add ON task_provenance FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.created_by = (SELECT current_user_id())));
CREATE POLICY task_queue_view ON task_queue FOR SELECT TO app_user
    USING (assignee = (SELECT current_user_id()) OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id));
CREATE POLICY task_queue_work ON task_queue FOR UPDATE TO app_user USING (assignee = (SELECT current_user_id()));
CREATE POLICY runs_view ON runs FOR SELECT TO app_user USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id));
CREATE POLICY runs_add ON runs FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY runs_work ON runs FOR UPDATE TO app_user
    USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY steps_view ON steps FOR SELECT TO app_user USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id));
CREATE POLICY steps_add ON steps FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY steps_work ON steps FOR UPDATE TO app_user
    USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY approval_calls_view ON approval_calls FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_id));
CREATE POLICY approval_calls_add ON approval_calls FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_id AND a.requested_by = (SELECT current_user_id())::text));
CREATE POLICY approval_edits_view ON approval_edits FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_id));
-- Only who may decide may edit, and only while the decision is open.
CREATE POLICY approval_edits_add ON approval_edits FOR INSERT TO app_user WITH CHECK (
    edited_by = (SELECT current_user_id()) AND EXISTS (SELECT 1 FROM approvals a LEFT JOIN tasks t ON t.id = a.task_id
      WHERE a.id = approval_id AND a.status = 'pending' AND ((SELECT has_permission(current_user_id(), 'approval_decide'))
        OR ((SELECT has_permission(current_user_id(), 'approval_decide_own')) AND t.created_by = (SELECT current_user_id())))));

-- FIX 07: who is suspended or inactive sees nothing either, not even what is his. Tables that are guarded through another
-- (runs through tasks) need no policy of their own for it.
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['tasks','approvals','system_logs','watchers','sessions','notifications','file_attachments','audit_trail','task_queue'] LOOP
    EXECUTE format('CREATE POLICY active_only ON %I AS RESTRICTIVE FOR ALL TO app_user USING ((SELECT has_permission(current_user_id(), ''sign_in'')))', t);
  END LOOP;
END $do$;
-- FIX 07: observers, suspended and inactive users write nothing, whatever a permissive policy says.
DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['task_queue','runs','steps','watchers','watcher_cursors'] LOOP
    EXECUTE format('CREATE POLICY writers_only_upd ON %I AS RESTRICTIVE FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), ''task_create'')))', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['runs','steps','approval_calls','task_provenance','watcher_events','watcher_cursors','notifications'] LOOP
    EXECUTE format('CREATE POLICY writers_only_add ON %I AS RESTRICTIVE FOR INSERT TO app_user WITH CHECK ((SELECT has_permission(current_user_id(), ''task_create'')))', t);
  END LOOP;
END $do$;
