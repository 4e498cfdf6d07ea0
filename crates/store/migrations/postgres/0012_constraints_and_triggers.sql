-- Check constraints
-- FIX 05: CURRENT_DATE in a CHECK breaks later updates and restores; judged against the row's own completion day (UTC) it is immutable.
ALTER TABLE tasks ADD CONSTRAINT chk_due_date_not_past CHECK (
    status != 'completed' OR due_date IS NULL
    OR (due_date AT TIME ZONE 'UTC') >= date_trunc('day', completed_at AT TIME ZONE 'UTC'));
-- FIX 15: completed_at and the completed status go together (the trigger fills it, the CHECK holds it).
ALTER TABLE tasks ADD CONSTRAINT chk_completed_at CHECK ((status = 'completed') = (completed_at IS NOT NULL));
CREATE FUNCTION tasks_set_completed_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN
    IF NEW.status = 'completed' THEN NEW.completed_at := COALESCE(NEW.completed_at, now()); ELSE NEW.completed_at := NULL; END IF;
    RETURN NEW;
END $fn$;
CREATE TRIGGER trg_tasks_completed_at BEFORE INSERT OR UPDATE OF status, completed_at ON tasks
    FOR EACH ROW EXECUTE FUNCTION tasks_set_completed_at();

-- FIX 15: the seed's constraint let status and decision disagree ('approved' with nobody, or with a rejecter).
ALTER TABLE approvals ADD CONSTRAINT chk_approval_single_decision CHECK (
    (status = 'approved' AND approved_by IS NOT NULL AND approved_at IS NOT NULL AND rejected_by IS NULL AND rejected_at IS NULL) OR
    (status = 'rejected' AND rejected_by IS NOT NULL AND rejected_at IS NOT NULL AND approved_by IS NULL AND approved_at IS NULL) OR
    (status IN ('pending', 'expired') AND num_nonnulls(approved_by, approved_at, rejected_by, rejected_at) = 0));

ALTER TABLE tasks ADD CONSTRAINT chk_priority_duration
CHECK (priority != 'critical' OR estimated_duration <= 1440); -- 24 hours max for critical; no estimate stays allowed

-- FIX 19: the section is called "Constraints and Triggers" and has no trigger; updated_at never moved.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN NEW.updated_at := now(); RETURN NEW; END $fn$;
CREATE TRIGGER trg_users_updated_at       BEFORE UPDATE ON users       FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_tasks_updated_at       BEFORE UPDATE ON tasks       FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_approvals_updated_at   BEFORE UPDATE ON approvals   FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_mcp_servers_updated_at BEFORE UPDATE ON mcp_servers FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER trg_watchers_updated_at    BEFORE UPDATE ON watchers    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

-- FIX 20: dependencies must exist and stay acyclic; the advisory lock stops two writers closing a cycle together.
CREATE FUNCTION tasks_check_dependencies() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('tasks.dependencies', 0));
        IF EXISTS (SELECT 1 FROM public.tasks t WHERE t.dependencies @> ARRAY[OLD.id]) THEN
            RAISE EXCEPTION 'task % is a dependency of another task', OLD.id
                  USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'chk_task_dependencies', TABLE = 'tasks';
        END IF;
        RETURN OLD;
    END IF;
    IF cardinality(NEW.dependencies) = 0 THEN RETURN NEW; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('tasks.dependencies', 0));
    IF (SELECT count(DISTINCT d) <> cardinality(NEW.dependencies) OR bool_or(d IS NULL OR d = NEW.id) FROM unnest(NEW.dependencies) d) THEN
        RAISE EXCEPTION 'dependencies hold a repeat, a NULL or the task itself'
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_task_dependencies', TABLE = 'tasks';
    END IF;
    IF EXISTS (SELECT 1 FROM unnest(NEW.dependencies) d WHERE NOT EXISTS (SELECT 1 FROM public.tasks t WHERE t.id = d)) THEN
        RAISE EXCEPTION 'dependencies name a task that does not exist'
              USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'chk_task_dependencies', TABLE = 'tasks';
    END IF;
    IF EXISTS (WITH RECURSIVE up(id) AS (SELECT unnest(NEW.dependencies)
               UNION SELECT unnest(t.dependencies) FROM public.tasks t JOIN up ON t.id = up.id)
               SELECT 1 FROM up WHERE up.id = NEW.id) THEN
        RAISE EXCEPTION 'dependencies form a cycle'
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_task_dependencies', TABLE = 'tasks';
    END IF;
    RETURN NEW;
END $fn$;
-- (AFTER: row-level security has judged the row first, so nobody who may not write learns which tasks exist.)
CREATE TRIGGER chk_task_dependencies AFTER INSERT OR UPDATE OF dependencies, id ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_check_dependencies();
-- (AFTER: a multi-row DELETE of a task together with its dependants is then allowed.)
CREATE TRIGGER chk_task_dependencies_del AFTER DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_check_dependencies();
