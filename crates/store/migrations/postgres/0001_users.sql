-- Who there is: roles of the database, the context of a request, users, their permissions, and agents.
-- Every departure from the specification carries a "FIX nn" line; nn is the row in docs/spec.md.

-- FIX 12: dates such as CURRENT_DATE and DATE(ts) depend on the session zone; pin the database to UTC.
DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''UTC''', current_database()); END $do$;
SET LOCAL timezone = 'UTC';

-- FIX 02: app_user is named by the policies and never created (app_definer owns the SECURITY DEFINER functions).
-- app_service is Steward itself at work where no person is known yet (log-in, supervision, expiry).
DO $do$ DECLARE r text; BEGIN
  FOREACH r IN ARRAY ARRAY['app_user', 'app_definer', 'app_service'] LOOP
    -- Roles belong to the whole cluster: another database may be migrated at the same moment.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', r);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
      END;
    END IF;
  END LOOP;
  -- The migrating owner hands functions over to app_definer, and must be a member to do so.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    IF NOT pg_has_role(current_user, 'app_definer', 'MEMBER') THEN EXECUTE format('GRANT app_definer TO %I', current_user); END IF;
  END IF;
END $do$;

-- FIX 03: current_user_id() is used by the policies and never defined; NULL (sees nothing) when unset or empty.
-- (A body of this form is bound when it is made, so that no search_path diverts it, and it melts into the statement that
-- calls it; a text body would be planned anew by each statement of each request.)
CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN NULLIF(pg_catalog.current_setting('app.current_user_id', true), '')::pg_catalog.uuid;
-- Whether Steward itself acts, and no person: it sees every row.
CREATE FUNCTION is_service() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CURRENT_USER = 'app_service';

-- 1. Users
CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    username VARCHAR(100) UNIQUE NOT NULL,
    email VARCHAR(255) UNIQUE NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    -- FIX 14: a CHECK (x IN (...)) passes NULL, so every defaulted column is NOT NULL here and below.
    role VARCHAR(50) NOT NULL DEFAULT 'user',
    status VARCHAR(20) NOT NULL DEFAULT 'active',
    first_name VARCHAR(100),
    last_name VARCHAR(100),
    -- FIX 12: TIMESTAMP -> TIMESTAMPTZ here and below.
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_login TIMESTAMPTZ,
    preferences JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT chk_role CHECK (role IN ('admin', 'user', 'observer')),
    CONSTRAINT chk_status CHECK (status IN ('active', 'inactive', 'suspended'))
);

-- FIX 04: has_permission() is called by assign_task() and never defined; grants are rows, and an inactive user has none at all.
CREATE TABLE role_permissions (
    role VARCHAR(50) NOT NULL CHECK (role IN ('admin', 'user', 'observer')),
    permission VARCHAR(100) NOT NULL,
    PRIMARY KEY (role, permission)
);
INSERT INTO role_permissions (role, permission) VALUES
    ('admin', '*'),
    ('user', 'sign_in'), ('user', 'task_create'), ('user', 'task_assign_own'), ('user', 'approval_decide_own'), ('user', 'watcher_create'),
    ('observer', 'sign_in'), ('observer', 'task_view_all'), ('observer', 'approval_view_all'), ('observer', 'log_view_all'), ('observer', 'watcher_view_all');

-- Agents are users that are programs. What only a person may do is refused to them, whatever their role.
CREATE TABLE agents (
    user_id UUID PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    kind VARCHAR(50) NOT NULL DEFAULT 'employee',
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
-- An agent never gets more than what role 'user' gives, whatever role its row names.
-- (plpgsql keeps the plan for the session; a definer function in SQL would be planned anew at every call.)
CREATE FUNCTION has_permission(p_user_id uuid, p_permission text) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp
  AS $fn$ BEGIN RETURN EXISTS (SELECT 1 FROM public.users u JOIN public.role_permissions g ON g.role = u.role
     WHERE u.id = p_user_id AND u.status = 'active' AND g.permission IN ('*', p_permission))
     AND (NOT EXISTS (SELECT 1 FROM public.agents a WHERE a.user_id = p_user_id)
          OR (p_permission NOT IN ('approval_decide', 'approval_decide_own', 'policy_admin', 'server_admin', 'user_admin')
              AND EXISTS (SELECT 1 FROM public.role_permissions g WHERE g.role = 'user' AND g.permission = p_permission))); END $fn$;
