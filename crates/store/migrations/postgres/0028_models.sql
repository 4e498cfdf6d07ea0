-- Work led by a language model: each question to a model and its answer, what models cost by the day, and the handbook that
-- the owner writes and the model reads.

-- One question and its answer. Written before it is asked, so that a crash leaves a trace of what may have been paid.
CREATE TABLE model_turns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id UUID NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
    task_id UUID NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
    model VARCHAR(100) NOT NULL,            -- its name in the owner's settings
    state VARCHAR(20) NOT NULL DEFAULT 'asked',
    request_sha256 VARCHAR(64) NOT NULL,
    request_bytes BIGINT NOT NULL CHECK (request_bytes >= 0),
    served_by VARCHAR(200),                 -- the model that answered, as the provider names it
    answer TEXT,                            -- words and calls, as JSON text, byte for byte as they are read again
    input_tokens BIGINT NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),       -- of which some may have come from the provider's cache
    cached_tokens BIGINT NOT NULL DEFAULT 0 CHECK (cached_tokens >= 0),
    output_tokens BIGINT NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    cost_microusd BIGINT NOT NULL DEFAULT 0 CHECK (cost_microusd >= 0),     -- millionths of a US dollar
    error TEXT,
    attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),                -- the claim that asked
    asked_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    answered_at TIMESTAMPTZ,
    CONSTRAINT uq_model_turns_run_ordinal UNIQUE (run_id, ordinal),
    CONSTRAINT chk_model_turn_state CHECK (state IN ('asked', 'answered', 'failed')),
    CONSTRAINT chk_model_turn_answer CHECK ((state = 'answered') = (answer IS NOT NULL)),
    CONSTRAINT chk_model_turn_end CHECK ((state = 'asked') = (answered_at IS NULL))
);
CREATE INDEX idx_model_turns_task_id ON model_turns(task_id);

-- What models used, by UTC day: a trigger adds up, so that a limit needs no sum over all turns.
CREATE TABLE model_spend (
    day DATE NOT NULL,
    model VARCHAR(100) NOT NULL,
    turns BIGINT NOT NULL CHECK (turns >= 0),
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
    cost_microusd BIGINT NOT NULL CHECK (cost_microusd >= 0),
    PRIMARY KEY (day, model)
);

-- The handbook: each saving is a version, and none is ever changed.
CREATE TABLE handbook (
    version INTEGER PRIMARY KEY CHECK (version > 0),
    content TEXT NOT NULL CONSTRAINT chk_handbook_content CHECK (length(content) <= 100000),
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_handbook_created_by ON handbook(created_by);

CREATE FUNCTION model_turns_spend() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    INSERT INTO public.model_spend AS s (day, model, turns, input_tokens, output_tokens, cost_microusd)
    VALUES ((now() AT TIME ZONE 'UTC')::date, NEW.model, 1, NEW.input_tokens, NEW.output_tokens, NEW.cost_microusd)
    ON CONFLICT (day, model) DO UPDATE SET turns = s.turns + 1, input_tokens = s.input_tokens + excluded.input_tokens,
        output_tokens = s.output_tokens + excluded.output_tokens, cost_microusd = s.cost_microusd + excluded.cost_microusd;
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_model_turns_spend AFTER UPDATE OF state ON model_turns FOR EACH ROW
    WHEN (OLD.state = 'asked' AND NEW.state <> 'asked') EXECUTE FUNCTION model_turns_spend();

CREATE TRIGGER trg_model_turns_audit AFTER INSERT OR UPDATE OR DELETE ON model_turns FOR EACH ROW EXECUTE FUNCTION audit_row('model_turn', '', 'answer');
CREATE TRIGGER trg_handbook_audit AFTER INSERT OR UPDATE OR DELETE ON handbook FOR EACH ROW EXECUTE FUNCTION audit_row('handbook', '', '');

DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['model_turns', 'model_spend', 'handbook'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY definer_%s ON %I TO app_definer USING (true) WITH CHECK (true)', t, t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
CREATE POLICY model_turns_view ON model_turns FOR SELECT TO app_user USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id));
CREATE POLICY model_turns_add ON model_turns FOR INSERT TO app_user
    WITH CHECK (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY model_turns_work ON model_turns FOR UPDATE TO app_user
    USING (EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())));
CREATE POLICY writers_only_add ON model_turns AS RESTRICTIVE FOR INSERT TO app_user WITH CHECK ((SELECT has_permission(current_user_id(), 'task_create')));
CREATE POLICY writers_only_upd ON model_turns AS RESTRICTIVE FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'task_create')));
-- Sums name no task, and whoever is bound by a limit may know how near it is.
CREATE POLICY model_spend_view ON model_spend FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY handbook_view ON handbook FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY handbook_edit ON handbook FOR INSERT TO app_user
    WITH CHECK (created_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'handbook_edit')));

GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION model_turns_spend() OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION model_turns_spend() FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON model_spend TO app_definer;
GRANT SELECT ON model_turns, model_spend, handbook TO app_user, app_service;
GRANT INSERT ON model_turns, handbook TO app_user;
GRANT UPDATE (state, served_by, answer, input_tokens, cached_tokens, output_tokens, cost_microusd, error, answered_at) ON model_turns TO app_user;
