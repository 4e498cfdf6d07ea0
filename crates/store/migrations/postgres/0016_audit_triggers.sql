-- FIX 21, 23: every change of a row that matters writes its audit row in the same transaction, by the database itself.
-- Arguments of the trigger: the entity's name, then columns that hold secrets (a change shows, the value does not),
-- then after '-' columns whose change alone is not worth a row.
CREATE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
DECLARE
    v_old jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_id uuid := COALESCE(v_new, v_old) ->> COALESCE(NULLIF(split_part(TG_ARGV[0], ':', 2), ''), 'id');
    v_entity text := split_part(TG_ARGV[0], ':', 1);
    v_secrets text[] := string_to_array(NULLIF(TG_ARGV[1], ''), ',');
    v_quiet text[] := string_to_array(NULLIF(TG_ARGV[2], ''), ',') || 'updated_at'::text;
    v_verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END;
    v_was jsonb; v_is jsonb; k text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(o.key, o.value), jsonb_object_agg(o.key, v_new -> o.key) INTO v_was, v_is
        FROM jsonb_each(v_old) o WHERE o.value IS DISTINCT FROM v_new -> o.key AND o.key <> ALL (v_quiet);
        IF v_was IS NULL THEN RETURN NULL; END IF;
        v_old := v_was; v_new := v_is;
        IF v_entity = 'task' AND v_new ? 'assigned_to' AND (SELECT count(*) FROM jsonb_object_keys(v_new)) = 1 THEN v_verb := 'assigned'; END IF;
    ELSE
        v_old := v_old - v_quiet; v_new := v_new - v_quiet;
    END IF;
    FOREACH k IN ARRAY COALESCE(v_secrets, '{}') LOOP
        IF jsonb_typeof(v_old -> k) <> 'null' THEN v_old := jsonb_set(v_old, ARRAY[k], '"(secret)"'); END IF;
        IF jsonb_typeof(v_new -> k) <> 'null' THEN v_new := jsonb_set(v_new, ARRAY[k], '"(secret)"'); END IF;
    END LOOP;
    INSERT INTO public.audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    VALUES (public.current_user_id(), v_entity || '_' || v_verb, v_entity, v_id, v_old, v_new,
            NULLIF(current_setting('app.ip_address', true), '')::inet, NULLIF(current_setting('app.user_agent', true), ''), now());
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_users_audit            AFTER INSERT OR UPDATE OR DELETE ON users            FOR EACH ROW EXECUTE FUNCTION audit_row('user', 'password_hash', '');
CREATE TRIGGER trg_role_permissions_audit AFTER INSERT OR UPDATE OR DELETE ON role_permissions FOR EACH ROW EXECUTE FUNCTION audit_row('role_permission', '', '');
CREATE TRIGGER trg_agents_audit           AFTER INSERT OR UPDATE OR DELETE ON agents           FOR EACH ROW EXECUTE FUNCTION audit_row('agent:user_id', '', '');
CREATE TRIGGER trg_tasks_audit            AFTER INSERT OR UPDATE OR DELETE ON tasks            FOR EACH ROW EXECUTE FUNCTION audit_row('task', '', '');
CREATE TRIGGER trg_approvals_audit        AFTER INSERT OR UPDATE OR DELETE ON approvals        FOR EACH ROW EXECUTE FUNCTION audit_row('approval', '', '');
CREATE TRIGGER trg_task_provenance_audit  AFTER INSERT OR DELETE           ON task_provenance  FOR EACH ROW EXECUTE FUNCTION audit_row('task_provenance:task_id', '', '');
CREATE TRIGGER trg_approval_calls_audit   AFTER INSERT OR DELETE           ON approval_calls   FOR EACH ROW EXECUTE FUNCTION audit_row('approval_call:approval_id', '', '');
CREATE TRIGGER trg_approval_edits_audit   AFTER INSERT OR UPDATE OR DELETE ON approval_edits   FOR EACH ROW EXECUTE FUNCTION audit_row('approval_edit:approval_id', '', '');
CREATE TRIGGER trg_mcp_servers_audit      AFTER INSERT OR UPDATE OR DELETE ON mcp_servers      FOR EACH ROW EXECUTE FUNCTION audit_row('mcp_server', 'environment', 'last_heartbeat');
CREATE TRIGGER trg_server_tools_audit     AFTER INSERT OR UPDATE OR DELETE ON server_tools     FOR EACH ROW EXECUTE FUNCTION audit_row('server_tool:server_id', '', 'last_seen');
CREATE TRIGGER trg_watchers_audit         AFTER INSERT OR UPDATE OR DELETE ON watchers         FOR EACH ROW EXECUTE FUNCTION audit_row('watcher', '', 'last_run');
CREATE TRIGGER trg_sessions_audit         AFTER INSERT OR UPDATE OR DELETE ON sessions         FOR EACH ROW EXECUTE FUNCTION audit_row('session', 'token', 'last_accessed,expires_at');
CREATE TRIGGER trg_file_attachments_audit AFTER INSERT OR UPDATE OR DELETE ON file_attachments FOR EACH ROW EXECUTE FUNCTION audit_row('file_attachment', '', '');
CREATE TRIGGER trg_notifications_audit    AFTER INSERT OR UPDATE OR DELETE ON notifications    FOR EACH ROW EXECUTE FUNCTION audit_row('notification', '', '');
CREATE TRIGGER trg_policies_audit         AFTER INSERT OR UPDATE OR DELETE ON policies         FOR EACH ROW EXECUTE FUNCTION audit_row('policy', '', '');
CREATE TRIGGER trg_runs_audit             AFTER INSERT OR UPDATE OR DELETE ON runs             FOR EACH ROW EXECUTE FUNCTION audit_row('run', '', 'playbook_source');
CREATE TRIGGER trg_steps_audit            AFTER INSERT OR UPDATE OR DELETE ON steps            FOR EACH ROW EXECUTE FUNCTION audit_row('step', '', 'result');
