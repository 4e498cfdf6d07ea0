-- Work led by a language model: each question to a model and its answer, what models cost by the day, and the handbook that
-- the owner writes and the model reads.

-- One question and its answer. Written before it is asked, so that a crash leaves a trace of what may have been paid.
CREATE TABLE model_turns (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    model TEXT NOT NULL CHECK (length(model) <= 100),               -- its name in the owner's settings
    state TEXT NOT NULL DEFAULT 'asked',
    request_sha256 TEXT NOT NULL CHECK (length(request_sha256) <= 64),
    request_bytes INTEGER NOT NULL,
    served_by TEXT CHECK (length(served_by) <= 200),                -- the model that answered, as the provider names it
    answer TEXT,                            -- words and calls, as JSON text, byte for byte as they are read again
    input_tokens INTEGER NOT NULL DEFAULT 0,                        -- of which some may have come from the provider's cache
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_microusd INTEGER NOT NULL DEFAULT 0,                       -- millionths of a US dollar
    error TEXT,
    attempt INTEGER NOT NULL DEFAULT 0,                             -- the claim that asked
    asked_at TEXT NOT NULL DEFAULT (now()) CHECK (asked_at GLOB '????-??-??T??:??:??.??????Z'),
    answered_at TEXT CHECK (answered_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT uq_model_turns_run_ordinal UNIQUE (run_id, ordinal),
    CONSTRAINT chk_model_turn_state CHECK (state IN ('asked', 'answered', 'failed')),
    CONSTRAINT chk_model_turn_answer CHECK ((state = 'answered') = (answer IS NOT NULL)),
    CONSTRAINT chk_model_turn_end CHECK ((state = 'asked') = (answered_at IS NULL)),
    CONSTRAINT model_turns_ordinal_check CHECK (ordinal BETWEEN 0 AND 2147483647),
    CONSTRAINT model_turns_request_bytes_check CHECK (request_bytes >= 0),
    CONSTRAINT model_turns_input_tokens_check CHECK (input_tokens >= 0),
    CONSTRAINT model_turns_cached_tokens_check CHECK (cached_tokens >= 0),
    CONSTRAINT model_turns_output_tokens_check CHECK (output_tokens >= 0),
    CONSTRAINT model_turns_cost_microusd_check CHECK (cost_microusd >= 0),
    CONSTRAINT model_turns_attempt_check CHECK (attempt BETWEEN 0 AND 2147483647)
) STRICT;
CREATE INDEX idx_model_turns_task_id ON model_turns(task_id);

-- What models used, by UTC day: a trigger adds up, so that a limit needs no sum over all turns.
CREATE TABLE model_spend (
    day TEXT NOT NULL CHECK (day GLOB '????-??-??'),
    model TEXT NOT NULL CHECK (length(model) <= 100),
    turns INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_microusd INTEGER NOT NULL,
    PRIMARY KEY (day, model),
    CONSTRAINT model_spend_turns_check CHECK (turns >= 0),
    CONSTRAINT model_spend_input_tokens_check CHECK (input_tokens >= 0),
    CONSTRAINT model_spend_output_tokens_check CHECK (output_tokens >= 0),
    CONSTRAINT model_spend_cost_microusd_check CHECK (cost_microusd >= 0)
) STRICT;

-- The handbook: each saving is a version, and none is ever changed.
CREATE TABLE handbook (
    version INTEGER NOT NULL PRIMARY KEY,
    content TEXT NOT NULL,
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT handbook_version_check CHECK (version BETWEEN 1 AND 2147483647),
    CONSTRAINT chk_handbook_content CHECK (length(content) <= 100000)
) STRICT;
CREATE INDEX idx_handbook_created_by ON handbook(created_by);

CREATE TRIGGER trg_model_turns_spend AFTER UPDATE OF state ON model_turns
WHEN OLD.state = 'asked' AND NEW.state <> 'asked'
BEGIN
    INSERT INTO model_spend (day, model, turns, input_tokens, output_tokens, cost_microusd)
    SELECT substr(now(), 1, 10), NEW.model, 1, NEW.input_tokens, NEW.output_tokens, as_definer(NEW.cost_microusd) WHERE true
    ON CONFLICT (day, model) DO UPDATE SET turns = model_spend.turns + 1, input_tokens = model_spend.input_tokens + excluded.input_tokens,
        output_tokens = model_spend.output_tokens + excluded.output_tokens,
        cost_microusd = as_definer(model_spend.cost_microusd + excluded.cost_microusd);
END;

CREATE TRIGGER trg_model_turns_audit_ins AFTER INSERT ON model_turns
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'model_turn_created', 'model_turn', NEW.id, NULL, audit_values(
        'id', NEW.id, 'run_id', NEW.run_id, 'task_id', NEW.task_id, 'ordinal', NEW.ordinal, 'model', NEW.model,
        'state', NEW.state, 'request_sha256', NEW.request_sha256, 'request_bytes', NEW.request_bytes,
        'served_by', NEW.served_by, 'input_tokens', NEW.input_tokens, 'cached_tokens', NEW.cached_tokens,
        'output_tokens', NEW.output_tokens, 'cost_microusd', NEW.cost_microusd, 'error', NEW.error,
        'attempt', NEW.attempt, 'asked_at:time', NEW.asked_at, 'answered_at:time', NEW.answered_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_model_turns_audit AFTER UPDATE OF id, run_id, task_id, ordinal, model, state, request_sha256, request_bytes, served_by,
    input_tokens, cached_tokens, output_tokens, cost_microusd, error, attempt, asked_at, answered_at ON model_turns
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'model_turn_updated', 'model_turn', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'run_id', OLD.run_id, NEW.run_id, 'task_id', OLD.task_id, NEW.task_id,
        'ordinal', OLD.ordinal, NEW.ordinal, 'model', OLD.model, NEW.model, 'state', OLD.state, NEW.state,
        'request_sha256', OLD.request_sha256, NEW.request_sha256, 'request_bytes', OLD.request_bytes, NEW.request_bytes,
        'served_by', OLD.served_by, NEW.served_by, 'input_tokens', OLD.input_tokens, NEW.input_tokens,
        'cached_tokens', OLD.cached_tokens, NEW.cached_tokens, 'output_tokens', OLD.output_tokens, NEW.output_tokens,
        'cost_microusd', OLD.cost_microusd, NEW.cost_microusd, 'error', OLD.error, NEW.error,
        'attempt', OLD.attempt, NEW.attempt, 'asked_at:time', OLD.asked_at, NEW.asked_at,
        'answered_at:time', OLD.answered_at, NEW.answered_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_model_turns_audit_del AFTER DELETE ON model_turns
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'model_turn_deleted', 'model_turn', OLD.id, audit_values(
        'id', OLD.id, 'run_id', OLD.run_id, 'task_id', OLD.task_id, 'ordinal', OLD.ordinal, 'model', OLD.model,
        'state', OLD.state, 'request_sha256', OLD.request_sha256, 'request_bytes', OLD.request_bytes,
        'served_by', OLD.served_by, 'input_tokens', OLD.input_tokens, 'cached_tokens', OLD.cached_tokens,
        'output_tokens', OLD.output_tokens, 'cost_microusd', OLD.cost_microusd, 'error', OLD.error,
        'attempt', OLD.attempt, 'asked_at:time', OLD.asked_at, 'answered_at:time', OLD.answered_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_handbook_audit_ins AFTER INSERT ON handbook
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'handbook_created', 'handbook', NULL, NULL, audit_values(
        'version', NEW.version, 'content', NEW.content, 'created_by', NEW.created_by, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_handbook_audit AFTER UPDATE OF version, content, created_by, created_at ON handbook
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'handbook_updated', 'handbook', NULL, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'version', OLD.version, NEW.version, 'content', OLD.content, NEW.content, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_handbook_audit_del AFTER DELETE ON handbook
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'handbook_deleted', 'handbook', NULL, audit_values(
        'version', OLD.version, 'content', OLD.content, 'created_by', OLD.created_by, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
