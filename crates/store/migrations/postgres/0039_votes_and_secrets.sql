-- A yes counts only while its giver may decide: who was suspended, or lost the right, after agreeing is one person less.
CREATE OR REPLACE FUNCTION approvals_enough() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF 1 + (SELECT count(*) FROM public.approval_votes v JOIN public.user_rights r ON r.user_id = v.user_id
            WHERE v.approval_id = NEW.id AND v.user_id IS DISTINCT FROM NEW.approved_by
              AND (r.permissions && ARRAY['*', 'approval_decide'] OR r.permissions && ARRAY['approval_decide_own']
                   AND EXISTS (SELECT 1 FROM public.tasks t WHERE t.id = NEW.task_id AND t.created_by = v.user_id)))
       < COALESCE(substring(NEW.details ->> 'approvers' FROM '^[0-9]{1,2}$')::integer, 1) THEN
        RAISE EXCEPTION 'approval % needs more people', NEW.id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_approvers', TABLE = 'approvals';
    END IF;
    RETURN NEW;
END $fn$;

-- A secret within a column, as 'column.member': what a watcher logs in with is sealed, and even so the audit trail says only
-- that it is there.
CREATE OR REPLACE FUNCTION audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
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
        IF jsonb_typeof(v_old #> string_to_array(k, '.')) <> 'null' THEN v_old := jsonb_set(v_old, string_to_array(k, '.'), '"(secret)"'); END IF;
        IF jsonb_typeof(v_new #> string_to_array(k, '.')) <> 'null' THEN v_new := jsonb_set(v_new, string_to_array(k, '.'), '"(secret)"'); END IF;
    END LOOP;
    INSERT INTO public.audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    VALUES (public.current_user_id(), v_entity || '_' || v_verb, v_entity, v_id, v_old, v_new,
            NULLIF(current_setting('app.ip_address', true), '')::inet, NULLIF(current_setting('app.user_agent', true), ''), now());
    RETURN NULL;
END $fn$;
DROP TRIGGER trg_watchers_audit ON watchers;
CREATE TRIGGER trg_watchers_audit AFTER INSERT OR UPDATE OR DELETE ON watchers FOR EACH ROW EXECUTE FUNCTION audit_row('watcher', 'config.credentials', 'last_run');
