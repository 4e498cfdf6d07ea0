-- The employee's work: where a task came from, what waits to be claimed, runs and their steps, the calls that approvals
-- freeze, the tools that servers offer, and what watchers have seen.

-- Where a task came from. A row is written once, with the task, and never changed: nobody can wash content clean.
CREATE TABLE task_provenance (
    task_id UUID PRIMARY KEY REFERENCES tasks(id) ON DELETE CASCADE,
    outside BOOLEAN NOT NULL,
    source VARCHAR(200) NOT NULL,
    detail JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Nothing but what a claim needs, so that its cost does not grow with finished tasks. Triggers keep it.
CREATE TABLE task_queue (
    task_id UUID PRIMARY KEY REFERENCES tasks(id) ON DELETE CASCADE,
    assignee UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    state VARCHAR(20) NOT NULL,
    priority_rank INTEGER NOT NULL,
    ready_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    worker VARCHAR(100),
    attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0), -- the fence: an older attempt may write nothing
    lease_until TIMESTAMPTZ,
    CONSTRAINT chk_queue_state CHECK (state IN ('blocked', 'ready', 'waiting', 'leased')),
    CONSTRAINT chk_queue_lease CHECK ((state = 'leased') = (worker IS NOT NULL AND lease_until IS NOT NULL))
);
CREATE INDEX idx_task_queue_ready ON task_queue(assignee, priority_rank DESC, ready_at, task_id) WHERE state = 'ready';
CREATE INDEX idx_task_queue_lease ON task_queue(lease_until) WHERE state = 'leased';

CREATE TABLE runs (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id UUID NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number > 0),
    playbook VARCHAR(100) NOT NULL,
    playbook_source TEXT NOT NULL,          -- frozen: a later edit of the playbook does not change a run
    playbook_sha256 VARCHAR(64) NOT NULL,
    state VARCHAR(20) NOT NULL DEFAULT 'running',
    error TEXT,
    started_by UUID REFERENCES users(id) ON DELETE SET NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    finished_at TIMESTAMPTZ,
    CONSTRAINT uq_runs_task_number UNIQUE (task_id, number),
    CONSTRAINT chk_run_state CHECK (state IN ('running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT chk_run_finished CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE INDEX idx_runs_started_by ON runs(started_by);

CREATE TABLE steps (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id UUID NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    task_id UUID NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
    name VARCHAR(100) NOT NULL,
    server VARCHAR(100) NOT NULL,
    tool VARCHAR(255) NOT NULL,
    state VARCHAR(20) NOT NULL,
    arguments TEXT NOT NULL,                -- the bytes that are sent, frozen
    arguments_sha256 VARCHAR(64) NOT NULL,
    policy_id UUID REFERENCES policies(id) ON DELETE SET NULL,
    policy_reason TEXT,
    approval_id UUID REFERENCES approvals(id) ON DELETE SET NULL,
    attempt INTEGER NOT NULL DEFAULT 0,     -- the claim that started it
    result TEXT,
    error TEXT,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_steps_run_ordinal UNIQUE (run_id, ordinal),
    CONSTRAINT chk_step_state CHECK (state IN ('planned', 'awaiting_approval', 'allowed', 'started', 'succeeded', 'failed', 'denied', 'skipped', 'outcome_unknown'))
);
CREATE INDEX idx_steps_task_id ON steps(task_id);
CREATE INDEX idx_steps_policy_id ON steps(policy_id) WHERE policy_id IS NOT NULL;
CREATE INDEX idx_steps_approval_id ON steps(approval_id) WHERE approval_id IS NOT NULL;

-- The call an approval decides, byte for byte. Rows are never changed.
CREATE TABLE approval_calls (
    approval_id UUID PRIMARY KEY REFERENCES approvals(id) ON DELETE CASCADE,
    step_id UUID NOT NULL REFERENCES steps(id) ON DELETE CASCADE,
    server VARCHAR(100) NOT NULL,
    tool VARCHAR(255) NOT NULL,
    definition_sha256 VARCHAR(64) NOT NULL, -- of the tool as it was when a person was asked
    arguments TEXT NOT NULL,
    arguments_sha256 VARCHAR(64) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_approval_calls_step_id ON approval_calls(step_id);
-- What the deciding person put in place of the arguments, or answered where an outcome is unknown.
CREATE TABLE approval_edits (
    approval_id UUID PRIMARY KEY REFERENCES approvals(id) ON DELETE CASCADE,
    arguments TEXT NOT NULL,
    arguments_sha256 VARCHAR(64) NOT NULL,
    edited_by UUID NOT NULL REFERENCES users(id),
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_approval_edits_edited_by ON approval_edits(edited_by);

-- What each server offers. A tool is usable only while its definition is the one a person approved.
CREATE TABLE server_tools (
    server_id UUID NOT NULL REFERENCES mcp_servers(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    input_schema JSONB NOT NULL,
    definition_sha256 VARCHAR(64) NOT NULL,
    approved_sha256 VARCHAR(64),
    approved_by UUID REFERENCES users(id) ON DELETE SET NULL,
    approved_at TIMESTAMPTZ,
    repeatable BOOLEAN NOT NULL DEFAULT false, -- the owner's word, never the server's: safe to run twice
    is_offered BOOLEAN NOT NULL DEFAULT true,
    first_seen TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_seen TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (server_id, name)
);
CREATE INDEX idx_server_tools_approved_by ON server_tools(approved_by);

-- What a watcher has seen: the key makes an event one task, whatever happens between.
CREATE TABLE watcher_events (
    watcher_id UUID NOT NULL REFERENCES watchers(id) ON DELETE CASCADE,
    event_key VARCHAR(255) NOT NULL,
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,
    source TEXT,
    fingerprint VARCHAR(255),
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (watcher_id, event_key)
);
CREATE INDEX idx_watcher_events_task_id ON watcher_events(task_id);
-- Whether a file was seen as it is now.
CREATE INDEX idx_watcher_events_fingerprint ON watcher_events(watcher_id, fingerprint);
CREATE TABLE watcher_cursors (
    watcher_id UUID PRIMARY KEY REFERENCES watchers(id) ON DELETE CASCADE,
    cursor JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- A link that makes the first admin, once.
CREATE TABLE setup_links (
    token VARCHAR(64) PRIMARY KEY CHECK (token ~ '^[0-9a-f]{64}$'), -- SHA-256 of what the link carries
    expires_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Releasing what waits is the database's work, so that no path that decides can forget it.
CREATE FUNCTION dependencies_completed(p_dependencies uuid[]) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp
  AS $fn$ BEGIN
     -- Most tasks depend on nothing.
     IF p_dependencies = '{}' THEN RETURN true; END IF;
     RETURN NOT EXISTS (SELECT 1 FROM unnest(p_dependencies) d
         WHERE NOT EXISTS (SELECT 1 FROM public.tasks t WHERE t.id = d AND t.status = 'completed'));
  END $fn$;
CREATE FUNCTION priority_rank(p_priority text) RETURNS integer LANGUAGE sql IMMUTABLE
  RETURN CASE p_priority WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'medium' THEN 1 ELSE 0 END;
-- A time by the one clock that all nodes share.
CREATE FUNCTION from_now(p_milliseconds bigint) RETURNS timestamptz LANGUAGE sql STABLE
  RETURN pg_catalog.now() + p_milliseconds * interval '1 millisecond';
CREATE FUNCTION task_queue_follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    -- One at a time, or two tasks completed together would each see the other as open and leave their dependant blocked.
    IF TG_OP = 'UPDATE' AND (NEW.status = 'completed') IS DISTINCT FROM (OLD.status = 'completed') THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('tasks.dependencies', 0));
    END IF;
    IF NEW.status IN ('completed', 'failed', 'cancelled') OR NEW.assigned_to IS NULL
       OR NOT EXISTS (SELECT 1 FROM public.agents a WHERE a.user_id = NEW.assigned_to) THEN
        DELETE FROM public.task_queue WHERE task_id = NEW.id;
    ELSE
        -- Another assignee fences out whoever holds the lease.
        INSERT INTO public.task_queue AS q (task_id, assignee, state, priority_rank)
        VALUES (NEW.id, NEW.assigned_to,
                CASE WHEN public.dependencies_completed(NEW.dependencies) THEN 'ready' ELSE 'blocked' END,
                public.priority_rank(NEW.priority))
        ON CONFLICT (task_id) DO UPDATE SET
            priority_rank = EXCLUDED.priority_rank,
            state = CASE WHEN q.assignee <> EXCLUDED.assignee OR q.state IN ('blocked', 'ready') THEN EXCLUDED.state ELSE q.state END,
            attempt = CASE WHEN q.assignee <> EXCLUDED.assignee THEN q.attempt + 1 ELSE q.attempt END,
            worker = CASE WHEN q.assignee <> EXCLUDED.assignee THEN NULL ELSE q.worker END,
            lease_until = CASE WHEN q.assignee <> EXCLUDED.assignee THEN NULL ELSE q.lease_until END,
            assignee = EXCLUDED.assignee;
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.status = 'completed') IS DISTINCT FROM (OLD.status = 'completed') THEN
        UPDATE public.task_queue q SET state = CASE WHEN public.dependencies_completed(t.dependencies) THEN 'ready' ELSE 'blocked' END
        FROM public.tasks t
        WHERE t.dependencies @> ARRAY[NEW.id] AND q.task_id = t.id AND q.state IN ('blocked', 'ready');
    END IF;
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_tasks_queue AFTER INSERT OR UPDATE OF status, assigned_to, dependencies, priority ON tasks
    FOR EACH ROW EXECUTE FUNCTION task_queue_follow();

-- Whatever makes a task ready (a decision, a lease that ran out, a worker that gives it back), its dependencies come first.
CREATE FUNCTION task_queue_dependencies_first() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF NOT public.dependencies_completed((SELECT t.dependencies FROM public.tasks t WHERE t.id = NEW.task_id)) THEN NEW.state := 'blocked'; END IF;
    RETURN NEW;
END $fn$;
CREATE TRIGGER trg_task_queue_dependencies_first BEFORE UPDATE OF state ON task_queue
    FOR EACH ROW WHEN (NEW.state = 'ready') EXECUTE FUNCTION task_queue_dependencies_first();

-- A decision is final and timely; and it wakes the work behind it, whichever way it went.
CREATE FUNCTION approvals_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'approval % is already %', OLD.id, OLD.status
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_final', TABLE = 'approvals';
    END IF;
    IF NEW.status IN ('approved', 'rejected') AND OLD.expires_at <= now() THEN
        RAISE EXCEPTION 'approval % has expired', OLD.id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_not_expired', TABLE = 'approvals';
    END IF;
    RETURN NEW;
END $fn$;
CREATE TRIGGER trg_approvals_guard BEFORE UPDATE OF status, approved_by, approved_at, rejected_by, rejected_at, details ON approvals
    FOR EACH ROW EXECUTE FUNCTION approvals_guard();
CREATE FUNCTION approvals_release() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    -- Not only rows that wait: one whose worker is just putting it to wait is locked, and must be seen when it is free.
    UPDATE public.task_queue SET
        state = CASE WHEN state = 'waiting' THEN 'ready' ELSE state END,
        ready_at = CASE WHEN state = 'waiting' THEN now() ELSE ready_at END
    WHERE task_id = NEW.task_id;
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_approvals_release AFTER UPDATE OF status ON approvals
    FOR EACH ROW WHEN (OLD.status = 'pending' AND NEW.status <> 'pending') EXECUTE FUNCTION approvals_release();
