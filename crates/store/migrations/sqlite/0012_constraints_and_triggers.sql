-- Check constraints
-- A trigger cannot change NEW on SQLite, so completed_at is filled in after the row is written, and what PostgreSQL
-- checks afterwards (chk_completed_at, chk_due_date_not_past) is checked here, under the same names.
CREATE TRIGGER trg_tasks_completed_at_ins AFTER INSERT ON tasks
WHEN (NEW.status = 'completed') <> (NEW.completed_at IS NOT NULL)
BEGIN
    UPDATE tasks SET completed_at = CASE WHEN NEW.status = 'completed' THEN now() END WHERE id = NEW.id;
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_completed_at') FROM tasks t
    WHERE t.id = NEW.id AND (t.status = 'completed') <> (t.completed_at IS NOT NULL);
END;
CREATE TRIGGER trg_tasks_completed_at AFTER UPDATE OF status, completed_at ON tasks
WHEN (NEW.status = 'completed') <> (NEW.completed_at IS NOT NULL)
BEGIN
    UPDATE tasks SET completed_at = CASE WHEN NEW.status = 'completed' THEN now() END WHERE id = NEW.id;
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_completed_at') FROM tasks t
    WHERE t.id = NEW.id AND (t.status = 'completed') <> (t.completed_at IS NOT NULL);
END;
-- Judged against the row's own completion day (UTC), so it never turns false later.
CREATE TRIGGER chk_due_date_not_past_ins AFTER INSERT ON tasks
WHEN NEW.status = 'completed' AND NEW.due_date < substr(coalesce(NEW.completed_at, now()), 1, 10) || 'T00:00:00.000000Z'
BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: chk_due_date_not_past'); END;
CREATE TRIGGER chk_due_date_not_past AFTER UPDATE OF status, due_date, completed_at ON tasks
WHEN NEW.status = 'completed' AND NEW.due_date < substr(coalesce(NEW.completed_at, now()), 1, 10) || 'T00:00:00.000000Z'
BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: chk_due_date_not_past'); END;
-- chk_approval_single_decision and chk_priority_duration stand in 0003 and 0002.

-- updated_at follows every change. (PRAGMA recursive_triggers is off: the inner UPDATE does not fire it again; and every
-- other trigger names its columns, so the inner UPDATE fires none of them.)
CREATE TRIGGER trg_users_updated_at AFTER UPDATE ON users WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE users SET updated_at = now() WHERE id = NEW.id; END;
CREATE TRIGGER trg_tasks_updated_at AFTER UPDATE ON tasks WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE tasks SET updated_at = now() WHERE id = NEW.id; END;
CREATE TRIGGER trg_approvals_updated_at AFTER UPDATE ON approvals WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE approvals SET updated_at = now() WHERE id = NEW.id; END;
CREATE TRIGGER trg_mcp_servers_updated_at AFTER UPDATE ON mcp_servers WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE mcp_servers SET updated_at = now() WHERE id = NEW.id; END;
CREATE TRIGGER trg_watchers_updated_at AFTER UPDATE ON watchers WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE watchers SET updated_at = now() WHERE id = NEW.id; END;

-- Dependencies must exist and stay acyclic. (UNION bounds the walk: each task is visited once.)
CREATE TRIGGER chk_task_dependencies_ins AFTER INSERT ON tasks WHEN NEW.dependencies <> '[]'
BEGIN
    -- a repeat, a NULL or something else that is no id, or the task itself
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_task_dependencies') FROM json_each(NEW.dependencies) d
    WHERE d.type <> 'text' OR d.value = NEW.id
       OR EXISTS (SELECT 1 FROM json_each(NEW.dependencies) e WHERE e.value = d.value AND e.key < d.key);
    -- a task that does not exist
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: chk_task_dependencies') FROM json_each(NEW.dependencies) d
    WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.value);
    -- a cycle
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_task_dependencies')
    WHERE EXISTS (WITH RECURSIVE up(id) AS (SELECT d.value FROM json_each(NEW.dependencies) d
                  UNION SELECT p.depends_on FROM up JOIN task_dependencies p ON p.task_id = up.id)
                  SELECT 1 FROM up WHERE up.id = NEW.id);
END;
CREATE TRIGGER chk_task_dependencies AFTER UPDATE OF dependencies, id ON tasks WHEN NEW.dependencies <> '[]'
BEGIN
    -- a repeat, a NULL or something else that is no id, or the task itself
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_task_dependencies') FROM json_each(NEW.dependencies) d
    WHERE d.type <> 'text' OR d.value = NEW.id
       OR EXISTS (SELECT 1 FROM json_each(NEW.dependencies) e WHERE e.value = d.value AND e.key < d.key);
    -- a task that does not exist
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: chk_task_dependencies') FROM json_each(NEW.dependencies) d
    WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.value);
    -- a cycle
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_task_dependencies')
    WHERE EXISTS (WITH RECURSIVE up(id) AS (SELECT d.value FROM json_each(NEW.dependencies) d
                  UNION SELECT p.depends_on FROM up JOIN task_dependencies p ON p.task_id = up.id)
                  SELECT 1 FROM up WHERE up.id = NEW.id);
END;
-- (Row by row: in a DELETE of several rows a task must come after those that depend on it.)
CREATE TRIGGER chk_task_dependencies_del AFTER DELETE ON tasks
BEGIN
    SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: chk_task_dependencies') FROM task_dependencies p WHERE p.depends_on = OLD.id;
    DELETE FROM task_dependencies WHERE task_id = OLD.id;
END;
