-- Rights at a glance. has_permission() joins three tables behind a call that costs more than most of the statements it
-- guards. What it would answer stands in a table of its own, one row a person, kept by triggers in the transaction that
-- changes a role, a status, an agent or what a role may do; a policy looks one row up where it made a call.
CREATE TABLE user_rights (
    user_id UUID PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    permissions TEXT[] NOT NULL
);
ALTER TABLE user_rights ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_rights FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_user_rights ON user_rights TO app_definer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON user_rights TO app_definer;
-- Steward itself compares it with what it is made of (steward db verify).
CREATE POLICY service_user_rights ON user_rights FOR SELECT TO app_service USING (true);
GRANT SELECT ON user_rights TO app_service;

-- The rule of FIX 04, as it stood in has_permission(): an inactive or suspended user has no right at all; an agent has
-- what role 'user' has and its own role has too, without what only a person may do.
CREATE FUNCTION rights_of(p_user_id uuid) RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
  AS $fn$ SELECT COALESCE(array_agg(g.permission::text ORDER BY g.permission), '{}')
    FROM public.users u LEFT JOIN public.agents a ON a.user_id = u.id
    JOIN public.role_permissions g ON g.role = CASE WHEN a.user_id IS NULL THEN u.role ELSE 'user' END
    WHERE u.id = p_user_id AND u.status = 'active'
      AND (a.user_id IS NULL
           OR (g.permission NOT IN ('*', 'approval_decide', 'approval_decide_own', 'policy_admin', 'server_admin', 'user_admin')
               AND EXISTS (SELECT 1 FROM public.role_permissions own WHERE own.role = u.role AND own.permission IN ('*', g.permission)))) $fn$;

-- The person's row is locked before the tables are read, so that of two changes at once the second one sees the first.
CREATE FUNCTION user_rights_follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
DECLARE v_user uuid;
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        LOCK TABLE public.user_rights IN SHARE ROW EXCLUSIVE MODE;
        UPDATE public.user_rights r SET permissions = public.rights_of(r.user_id)
        WHERE r.permissions IS DISTINCT FROM public.rights_of(r.user_id);
        RETURN NULL;
    END IF;
    v_user := CASE WHEN TG_TABLE_NAME = 'users' THEN (CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END ->> 'id')::uuid
                   ELSE (CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END ->> 'user_id')::uuid END;
    IF TG_TABLE_NAME = 'users' AND TG_OP = 'DELETE' THEN
        DELETE FROM public.user_rights WHERE user_id = v_user;
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'users' AND TG_OP = 'INSERT' THEN
        INSERT INTO public.user_rights (user_id, permissions) VALUES (v_user, public.rights_of(v_user));
        RETURN NULL;
    END IF;
    PERFORM 1 FROM public.user_rights WHERE user_id = v_user FOR UPDATE;
    UPDATE public.user_rights SET permissions = public.rights_of(v_user)
    WHERE user_id = v_user AND permissions IS DISTINCT FROM public.rights_of(v_user);
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_users_rights AFTER INSERT OR UPDATE OF role, status OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION user_rights_follow();
CREATE TRIGGER trg_agents_rights AFTER INSERT OR UPDATE OR DELETE ON agents FOR EACH ROW EXECUTE FUNCTION user_rights_follow();
CREATE TRIGGER trg_agents_rights_of_all AFTER TRUNCATE ON agents FOR EACH STATEMENT EXECUTE FUNCTION user_rights_follow();
CREATE TRIGGER trg_role_permissions_rights AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON role_permissions FOR EACH STATEMENT EXECUTE FUNCTION user_rights_follow();
-- Also where rows are loaded with triggers off: without its rights nobody could sign in.
ALTER TABLE users ENABLE ALWAYS TRIGGER trg_users_rights;
ALTER TABLE agents ENABLE ALWAYS TRIGGER trg_agents_rights;
ALTER TABLE agents ENABLE ALWAYS TRIGGER trg_agents_rights_of_all;
ALTER TABLE role_permissions ENABLE ALWAYS TRIGGER trg_role_permissions_rights;
INSERT INTO user_rights (user_id, permissions) SELECT id, rights_of(id) FROM users;

CREATE OR REPLACE FUNCTION has_permission(p_user_id uuid, p_permission text) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp
  AS $fn$ BEGIN RETURN EXISTS (SELECT 1 FROM public.user_rights r
     WHERE r.user_id = p_user_id AND r.permissions && ARRAY['*', p_permission]); END $fn$;

-- One's own row, read as its owner (app_definer): what a policy asks. FIX 11: a barrier, so that no condition of the
-- reader's meets another's row.
CREATE VIEW my_rights WITH (security_barrier = true) AS
SELECT r.permissions FROM user_rights r WHERE r.user_id = current_user_id();

GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION rights_of(uuid) OWNER TO app_definer;
ALTER FUNCTION user_rights_follow() OWNER TO app_definer;
ALTER VIEW my_rights OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION rights_of(uuid), user_rights_follow() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rights_of(uuid) TO app_service;
GRANT SELECT ON my_rights TO app_user, app_service;

-- An administrator's task policy is split by command, so that reading asks once for the two rights that show all tasks.
DROP POLICY admin_all_tasks ON tasks;
CREATE POLICY admin_can_create_tasks ON tasks FOR INSERT TO app_user WITH CHECK ((SELECT has_permission(current_user_id(), 'task_admin')));
CREATE POLICY admin_can_modify_tasks ON tasks FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'task_admin')));
CREATE POLICY admin_can_delete_tasks ON tasks FOR DELETE TO app_user USING ((SELECT has_permission(current_user_id(), 'task_admin')));
DROP POLICY observer_can_view_tasks ON tasks;
CREATE POLICY observer_can_view_tasks ON tasks FOR SELECT TO app_user
    USING ((SELECT permissions && ARRAY['*', 'task_view_all', 'task_admin'] FROM my_rights));

-- Every policy that called the function looks the row up instead. Who has no row gets NULL, which allows nothing.
DO $do$ DECLARE p record; v_using text; v_check text; BEGIN
  FOR p IN SELECT schemaname, tablename, policyname, qual, with_check FROM pg_policies
           WHERE schemaname = 'public' AND 'app_user' = ANY (roles) AND concat(qual, with_check) LIKE '%has_permission(%' LOOP
    v_using := regexp_replace(p.qual, $re$has_permission\(current_user_id\(\), '(\w+)'::text\) AS has_permission$re$,
                              $to$(permissions && ARRAY['*', '\1']) AS is_allowed FROM my_rights$to$, 'g');
    v_check := regexp_replace(p.with_check, $re$has_permission\(current_user_id\(\), '(\w+)'::text\) AS has_permission$re$,
                              $to$(permissions && ARRAY['*', '\1']) AS is_allowed FROM my_rights$to$, 'g');
    IF concat(v_using, v_check) LIKE '%has_permission(%' THEN
      RAISE EXCEPTION 'policy % on % asks for a right in a way that is not known: %', p.policyname, p.tablename, concat(v_using, v_check);
    END IF;
    EXECUTE format('ALTER POLICY %I ON %I.%I', p.policyname, p.schemaname, p.tablename)
      || COALESCE(' USING (' || v_using || ')', '') || COALESCE(' WITH CHECK (' || v_check || ')', '');
  END LOOP;
END $do$;

-- The part of a page that only those get who may see everybody's tasks: for all others it costs one look at their
-- rights, and not the opening of an index walk. Under the caller's own policies, as any statement of his.
CREATE FUNCTION tasks_of_everybody(p_before timestamptz, p_before_id uuid, p_limit bigint, p_status text DEFAULT NULL) RETURNS SETOF tasks
  LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF (public.is_service() OR (SELECT r.permissions && ARRAY['*', 'task_view_all', 'task_admin'] FROM public.my_rights r)) IS NOT TRUE THEN
        RETURN;
    END IF;
    IF p_status IS NULL THEN
        RETURN QUERY SELECT * FROM public.tasks t WHERE (t.created_at, t.id) < (p_before, p_before_id)
            ORDER BY t.created_at DESC, t.id DESC LIMIT p_limit;
    ELSE
        RETURN QUERY SELECT * FROM public.tasks t WHERE t.status = p_status AND (t.created_at, t.id) < (p_before, p_before_id)
            ORDER BY t.created_at DESC, t.id DESC LIMIT p_limit;
    END IF;
END $fn$;
REVOKE ALL ON FUNCTION tasks_of_everybody(timestamptz, uuid, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tasks_of_everybody(timestamptz, uuid, bigint, text) TO app_user, app_service;
