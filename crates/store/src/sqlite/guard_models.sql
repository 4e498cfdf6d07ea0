-- What an actor may write of work that a language model leads; run with guard_writes.sql, which says how.

CREATE TEMP TRIGGER guard_model_turns_insert BEFORE INSERT ON main.model_turns
BEGIN
    SELECT RAISE(ABORT, 'refused: model_turns')
    WHERE is_service() OR (EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_model_turns_columns BEFORE UPDATE OF id, run_id, task_id, ordinal, model, request_sha256, request_bytes, attempt,
    asked_at ON main.model_turns
BEGIN SELECT RAISE(ABORT, 'refused: model_turns'); END;
CREATE TEMP TRIGGER guard_model_turns_columns_service BEFORE UPDATE OF state, served_by, answer, input_tokens, cached_tokens, output_tokens,
    cost_microusd, error, answered_at ON main.model_turns
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: model_turns'); END;
CREATE TEMP TRIGGER guard_model_turns_update BEFORE UPDATE OF state, served_by, answer, input_tokens, cached_tokens, output_tokens,
    cost_microusd, error, answered_at ON main.model_turns
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (EXISTS (SELECT 1 FROM tasks t WHERE t.id = OLD.task_id AND t.assigned_to = current_user_id())
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_model_turns_delete BEFORE DELETE ON main.model_turns
WHEN NOT ((OLD.run_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.runs p WHERE p.id = OLD.run_id))
      OR (OLD.task_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id)))
BEGIN SELECT RAISE(ABORT, 'refused: model_turns'); END;

-- What was spent is added up by the database (trg_model_turns_spend), and outside of work by Steward itself.
CREATE TEMP TRIGGER guard_model_spend_insert BEFORE INSERT ON main.model_spend WHEN NOT take_definer() AND NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: model_spend'); END;
CREATE TEMP TRIGGER guard_model_spend_update BEFORE UPDATE ON main.model_spend WHEN NOT take_definer() AND NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: model_spend'); END;
CREATE TEMP TRIGGER guard_model_spend_key BEFORE UPDATE OF day, model ON main.model_spend
BEGIN SELECT RAISE(ABORT, 'refused: model_spend'); END;
CREATE TEMP TRIGGER guard_model_spend_delete BEFORE DELETE ON main.model_spend
BEGIN SELECT RAISE(ABORT, 'refused: model_spend'); END;

-- How long was worked is added up by the database alone (trg_model_turns_work_time, trg_steps_work_time).
CREATE TEMP TRIGGER guard_work_time_insert BEFORE INSERT ON main.work_time WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: work_time'); END;
CREATE TEMP TRIGGER guard_work_time_update BEFORE UPDATE ON main.work_time WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: work_time'); END;
CREATE TEMP TRIGGER guard_work_time_delete BEFORE DELETE ON main.work_time
BEGIN SELECT RAISE(ABORT, 'refused: work_time'); END;

CREATE TEMP TRIGGER guard_handbook_insert BEFORE INSERT ON main.handbook
BEGIN
    SELECT RAISE(ABORT, 'refused: handbook')
    WHERE is_service() OR (NEW.created_by = current_user_id() AND has_permission(current_user_id(), 'handbook_edit')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_handbook_update BEFORE UPDATE ON main.handbook
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
BEGIN SELECT RAISE(ABORT, 'refused: handbook'); END;
CREATE TEMP TRIGGER guard_handbook_delete BEFORE DELETE ON main.handbook
BEGIN SELECT RAISE(ABORT, 'refused: handbook'); END;

CREATE TEMP TRIGGER guard_playbooks_insert BEFORE INSERT ON main.playbooks
BEGIN
    SELECT RAISE(ABORT, 'refused: playbooks')
    WHERE is_service() OR (NEW.created_by = current_user_id() AND has_permission(current_user_id(), 'policy_admin')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_playbooks_columns BEFORE UPDATE OF id, name, source, task_id, created_by, created_at ON main.playbooks
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
  AND NOT (OLD.task_id IS NOT NULL AND NEW.task_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
BEGIN SELECT RAISE(ABORT, 'refused: playbooks'); END;
CREATE TEMP TRIGGER guard_playbooks_columns_service BEFORE UPDATE OF is_on, switched_at ON main.playbooks
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: playbooks'); END;
CREATE TEMP TRIGGER guard_playbooks_update BEFORE UPDATE OF is_on, switched_at ON main.playbooks
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'policy_admin');
END;
CREATE TEMP TRIGGER guard_playbooks_delete BEFORE DELETE ON main.playbooks
BEGIN
    SELECT RAISE(ABORT, 'refused: playbooks') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'policy_admin');
END;

-- (approval_decide_own is what no agent and no observer has.)
CREATE TEMP TRIGGER guard_memories_insert BEFORE INSERT ON main.memories
BEGIN
    SELECT RAISE(ABORT, 'refused: memories')
    WHERE is_service() OR (NEW.created_by = current_user_id() AND (
        (NEW.source = 'person' AND NEW.task_id IS NULL AND NEW.step_id IS NULL AND (has_permission(current_user_id(), 'policy_admin')
          OR (NEW.user_id = current_user_id() AND has_permission(current_user_id(), 'approval_decide_own'))))
        OR (NEW.source = 'task' AND NEW.user_id IS NOT NULL AND has_permission(current_user_id(), 'task_create')
          AND EXISTS (SELECT 1 FROM main.agents a WHERE a.user_id = current_user_id() AND a.kind = 'employee')
          AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.assigned_to = current_user_id())))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_memories_columns BEFORE UPDATE OF id, user_id, source, outside, task_id, step_id, created_by, created_at
    ON main.memories
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
  AND NOT (OLD.task_id IS NOT NULL AND NEW.task_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.tasks p WHERE p.id = OLD.task_id))
  AND NOT (OLD.step_id IS NOT NULL AND NEW.step_id IS NULL AND NOT EXISTS (SELECT 1 FROM main.steps p WHERE p.id = OLD.step_id))
BEGIN SELECT RAISE(ABORT, 'refused: memories'); END;
CREATE TEMP TRIGGER guard_memories_columns_service BEFORE UPDATE OF content, edited_at ON main.memories
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: memories'); END;
CREATE TEMP TRIGGER guard_memories_update BEFORE UPDATE OF content, edited_at ON main.memories
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE (has_permission(current_user_id(), 'policy_admin')
        OR (OLD.user_id = current_user_id() AND has_permission(current_user_id(), 'approval_decide_own'))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_memories_delete BEFORE DELETE ON main.memories
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN
    SELECT RAISE(ABORT, 'refused: memories') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE (has_permission(current_user_id(), 'policy_admin')
        OR (OLD.user_id = current_user_id() AND has_permission(current_user_id(), 'approval_decide_own'))) IS NOT TRUE;
END;
