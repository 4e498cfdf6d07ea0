-- The employee's work: where a task came from, what waits to be claimed, runs and their steps, the calls that approvals
-- freeze, the tools that servers offer, and what watchers have seen.

-- Where a task came from. A row is written once, with the task, and never changed: nobody can wash content clean.
CREATE TABLE task_provenance (
    task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks(id) ON DELETE CASCADE,
    outside INTEGER NOT NULL CHECK (outside IN (0, 1)),
    source TEXT NOT NULL CHECK (length(source) <= 200),
    detail TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(detail)),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

-- Nothing but what a claim needs, so that its cost does not grow with finished tasks. Triggers keep it.
CREATE TABLE task_queue (
    task_id TEXT NOT NULL PRIMARY KEY REFERENCES tasks(id) ON DELETE CASCADE,
    assignee TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    priority_rank INTEGER NOT NULL,
    ready_at TEXT NOT NULL DEFAULT (now()) CHECK (ready_at GLOB '????-??-??T??:??:??.??????Z'),
    worker TEXT CHECK (length(worker) <= 100),
    attempt INTEGER NOT NULL DEFAULT 0, -- the fence: an older attempt may write nothing
    lease_until TEXT CHECK (lease_until GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT chk_queue_lease CHECK ((state = 'leased') = (worker IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT chk_queue_state CHECK (state IN ('blocked', 'ready', 'waiting', 'leased')),
    CONSTRAINT task_queue_attempt_check CHECK (attempt >= 0)
) STRICT;
CREATE INDEX idx_task_queue_ready ON task_queue(assignee, priority_rank DESC, ready_at, task_id) WHERE state = 'ready';
CREATE INDEX idx_task_queue_lease ON task_queue(lease_until) WHERE state = 'leased';

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    playbook TEXT NOT NULL CHECK (length(playbook) <= 100),
    playbook_source TEXT NOT NULL,          -- frozen: a later edit of the playbook does not change a run
    playbook_sha256 TEXT NOT NULL CHECK (length(playbook_sha256) <= 64),
    state TEXT NOT NULL DEFAULT 'running',
    error TEXT,
    started_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    started_at TEXT NOT NULL DEFAULT (now()) CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    finished_at TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT uq_runs_task_number UNIQUE (task_id, number),
    CONSTRAINT chk_run_finished CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT chk_run_state CHECK (state IN ('running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT runs_number_check CHECK (number BETWEEN 1 AND 2147483647)
) STRICT;
CREATE INDEX idx_runs_started_by ON runs(started_by);

CREATE TABLE steps (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL CHECK (length(name) <= 100),
    server TEXT NOT NULL CHECK (length(server) <= 100),
    tool TEXT NOT NULL CHECK (length(tool) <= 255),
    state TEXT NOT NULL,
    arguments TEXT NOT NULL,                -- the bytes that are sent, frozen
    arguments_sha256 TEXT NOT NULL CHECK (length(arguments_sha256) <= 64),
    policy_id TEXT REFERENCES policies(id) ON DELETE SET NULL,
    policy_reason TEXT,
    approval_id TEXT REFERENCES approvals(id) ON DELETE SET NULL,
    attempt INTEGER NOT NULL DEFAULT 0,     -- the claim that started it
    result TEXT,
    error TEXT,
    started_at TEXT CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    finished_at TEXT CHECK (finished_at GLOB '????-??-??T??:??:??.??????Z'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT uq_steps_run_ordinal UNIQUE (run_id, ordinal),
    CONSTRAINT chk_step_state CHECK (state IN ('planned', 'awaiting_approval', 'allowed', 'started', 'succeeded', 'failed', 'denied', 'skipped', 'outcome_unknown')),
    CONSTRAINT steps_ordinal_check CHECK (ordinal BETWEEN 0 AND 2147483647)
) STRICT;
CREATE INDEX idx_steps_task_id ON steps(task_id);
CREATE INDEX idx_steps_policy_id ON steps(policy_id) WHERE policy_id IS NOT NULL;
CREATE INDEX idx_steps_approval_id ON steps(approval_id) WHERE approval_id IS NOT NULL;

-- The call an approval decides, byte for byte. Rows are never changed.
CREATE TABLE approval_calls (
    approval_id TEXT NOT NULL PRIMARY KEY REFERENCES approvals(id) ON DELETE CASCADE,
    step_id TEXT NOT NULL REFERENCES steps(id) ON DELETE CASCADE,
    server TEXT NOT NULL CHECK (length(server) <= 100),
    tool TEXT NOT NULL CHECK (length(tool) <= 255),
    definition_sha256 TEXT NOT NULL CHECK (length(definition_sha256) <= 64), -- of the tool as it was when a person was asked
    arguments TEXT NOT NULL,
    arguments_sha256 TEXT NOT NULL CHECK (length(arguments_sha256) <= 64),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX idx_approval_calls_step_id ON approval_calls(step_id);
-- What the deciding person put in place of the arguments, or answered where an outcome is unknown.
CREATE TABLE approval_edits (
    approval_id TEXT NOT NULL PRIMARY KEY REFERENCES approvals(id) ON DELETE CASCADE,
    arguments TEXT NOT NULL,
    arguments_sha256 TEXT NOT NULL CHECK (length(arguments_sha256) <= 64),
    edited_by TEXT NOT NULL REFERENCES users(id),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX idx_approval_edits_edited_by ON approval_edits(edited_by);

-- What each server offers. A tool is usable only while its definition is the one a person approved.
CREATE TABLE server_tools (
    server_id TEXT NOT NULL REFERENCES mcp_servers(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    input_schema TEXT NOT NULL CHECK (json_valid(input_schema)),
    definition_sha256 TEXT NOT NULL CHECK (length(definition_sha256) <= 64),
    approved_sha256 TEXT CHECK (length(approved_sha256) <= 64),
    approved_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    approved_at TEXT CHECK (approved_at GLOB '????-??-??T??:??:??.??????Z'),
    repeatable INTEGER NOT NULL DEFAULT 0 CHECK (repeatable IN (0, 1)), -- the owner's word, never the server's: safe to run twice
    is_offered INTEGER NOT NULL DEFAULT 1 CHECK (is_offered IN (0, 1)),
    first_seen TEXT NOT NULL DEFAULT (now()) CHECK (first_seen GLOB '????-??-??T??:??:??.??????Z'),
    last_seen TEXT NOT NULL DEFAULT (now()) CHECK (last_seen GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (server_id, name)
) STRICT;
CREATE INDEX idx_server_tools_approved_by ON server_tools(approved_by);

-- What a watcher has seen: the key makes an event one task, whatever happens between.
CREATE TABLE watcher_events (
    watcher_id TEXT NOT NULL REFERENCES watchers(id) ON DELETE CASCADE,
    event_key TEXT NOT NULL CHECK (length(event_key) <= 255),
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,
    source TEXT,
    fingerprint TEXT CHECK (length(fingerprint) <= 255),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (watcher_id, event_key)
) STRICT;
CREATE INDEX idx_watcher_events_task_id ON watcher_events(task_id);
-- Whether a file was seen as it is now.
CREATE INDEX idx_watcher_events_fingerprint ON watcher_events(watcher_id, fingerprint);
CREATE TABLE watcher_cursors (
    watcher_id TEXT NOT NULL PRIMARY KEY REFERENCES watchers(id) ON DELETE CASCADE,
    cursor TEXT NOT NULL CHECK (json_valid(cursor)),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

-- A link that makes the first admin, once.
CREATE TABLE setup_links (
    token TEXT NOT NULL PRIMARY KEY CONSTRAINT setup_links_token_check CHECK (length(token) = 64 AND token NOT GLOB '*[^0-9a-f]*'), -- SHA-256 of what the link carries
    expires_at TEXT NOT NULL CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

-- Releasing what waits is the database's work, so that no path that decides can forget it. as_definer() marks the
-- database's own writes, which the guards let pass whoever acts; it is the last thing worked out for a row.
CREATE TRIGGER trg_tasks_queue_ins AFTER INSERT ON tasks WHEN NEW.assigned_to IS NOT NULL
BEGIN
    INSERT INTO task_queue (task_id, assignee, state, priority_rank)
    SELECT NEW.id, NEW.assigned_to,
           CASE WHEN EXISTS (SELECT 1 FROM json_each(NEW.dependencies) d
                     WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.value AND t.status = 'completed'))
                THEN 'blocked' ELSE 'ready' END,
           as_definer(CASE NEW.priority WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'medium' THEN 1 ELSE 0 END)
    WHERE NEW.status NOT IN ('completed', 'failed', 'cancelled') AND EXISTS (SELECT 1 FROM agents a WHERE a.user_id = NEW.assigned_to);
END;
CREATE TRIGGER trg_tasks_queue AFTER UPDATE OF status, assigned_to, dependencies, priority ON tasks
BEGIN
    DELETE FROM task_queue WHERE task_id = NEW.id
      AND CASE WHEN NEW.status IN ('completed', 'failed', 'cancelled') OR NEW.assigned_to IS NULL
                 OR NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = NEW.assigned_to) THEN as_definer(1) END;
    -- Another assignee fences out whoever holds the lease.
    INSERT INTO task_queue (task_id, assignee, state, priority_rank)
    SELECT NEW.id, NEW.assigned_to,
           CASE WHEN EXISTS (SELECT 1 FROM json_each(NEW.dependencies) d
                     WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.value AND t.status = 'completed'))
                THEN 'blocked' ELSE 'ready' END,
           as_definer(CASE NEW.priority WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'medium' THEN 1 ELSE 0 END)
    WHERE NEW.status NOT IN ('completed', 'failed', 'cancelled') AND EXISTS (SELECT 1 FROM agents a WHERE a.user_id = NEW.assigned_to)
    ON CONFLICT (task_id) DO UPDATE SET
        state = CASE WHEN task_queue.assignee <> excluded.assignee OR task_queue.state IN ('blocked', 'ready') THEN excluded.state ELSE task_queue.state END,
        attempt = CASE WHEN task_queue.assignee <> excluded.assignee THEN task_queue.attempt + 1 ELSE task_queue.attempt END,
        worker = CASE WHEN task_queue.assignee <> excluded.assignee THEN NULL ELSE task_queue.worker END,
        lease_until = CASE WHEN task_queue.assignee <> excluded.assignee THEN NULL ELSE task_queue.lease_until END,
        assignee = excluded.assignee,
        priority_rank = as_definer(excluded.priority_rank);
END;
CREATE TRIGGER trg_tasks_queue_dependants AFTER UPDATE OF status ON tasks
WHEN (NEW.status = 'completed') <> (OLD.status = 'completed')
BEGIN
    UPDATE task_queue SET state = as_definer(CASE
        WHEN EXISTS (SELECT 1 FROM task_dependencies d WHERE d.task_id = task_queue.task_id
                     AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.depends_on AND t.status = 'completed'))
        THEN 'blocked' ELSE 'ready' END)
    WHERE task_id IN (SELECT d.task_id FROM task_dependencies d WHERE d.depends_on = NEW.id) AND state IN ('blocked', 'ready');
END;

-- Whatever makes a task ready (a decision, a lease that ran out, a worker that gives it back), its dependencies come first.
CREATE TRIGGER trg_task_queue_dependencies_first AFTER UPDATE OF state ON task_queue
WHEN NEW.state = 'ready' AND EXISTS (SELECT 1 FROM task_dependencies d WHERE d.task_id = NEW.task_id
    AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = d.depends_on AND t.status = 'completed'))
BEGIN
    UPDATE task_queue SET state = as_definer('blocked') WHERE task_id = NEW.task_id;
END;

-- A decision is final and timely; and it wakes the work behind it, whichever way it went.
CREATE TRIGGER trg_approvals_guard BEFORE UPDATE OF status, approved_by, approved_at, rejected_by, rejected_at, details ON approvals
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_final') WHERE OLD.status <> 'pending';
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_not_expired')
    WHERE NEW.status IN ('approved', 'rejected') AND OLD.expires_at <= now();
END;
CREATE TRIGGER trg_approvals_release AFTER UPDATE OF status ON approvals
WHEN OLD.status = 'pending' AND NEW.status <> 'pending'
BEGIN
    UPDATE task_queue SET state = 'ready', ready_at = as_definer(now()) WHERE task_id = NEW.task_id AND state = 'waiting';
END;
