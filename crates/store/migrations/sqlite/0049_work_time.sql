-- How long the employee was at work, by UTC day: a trigger adds up what models and tools took, so that a limit needs no sum over
-- all of it. What people took to answer is no work, and neither is what nobody saw the end of.
CREATE TABLE work_time (
    day TEXT NOT NULL PRIMARY KEY CHECK (day GLOB '????-??-??'),
    worked_ms INTEGER NOT NULL,
    CONSTRAINT work_time_worked_ms_check CHECK (worked_ms >= 0)
) STRICT;

CREATE TRIGGER trg_model_turns_work_time AFTER UPDATE OF state ON model_turns
WHEN OLD.state = 'asked' AND (NEW.state = 'answered' OR NEW.state = 'failed' AND NEW.input_tokens > 0)
BEGIN
    INSERT INTO work_time (day, worked_ms)
    SELECT substr(now(), 1, 10),
        as_definer(max(CAST(round((julianday(NEW.answered_at) - julianday(NEW.asked_at)) * 86400000.0) AS INTEGER), 1)) WHERE true
    ON CONFLICT (day) DO UPDATE SET worked_ms = as_definer(work_time.worked_ms + excluded.worked_ms);
END;
CREATE TRIGGER trg_steps_work_time AFTER UPDATE OF state ON steps
WHEN OLD.state = 'started' AND NEW.state IN ('succeeded', 'failed') AND NEW.started_at IS NOT NULL AND NEW.finished_at IS NOT NULL
BEGIN
    -- Less the time in which a person was asked what the server wanted to know.
    INSERT INTO work_time (day, worked_ms)
    SELECT substr(now(), 1, 10), as_definer(max(CAST(round((julianday(NEW.finished_at) - julianday(NEW.started_at) - COALESCE((
        SELECT sum(julianday(min(CASE a.status WHEN 'pending' THEN NEW.finished_at ELSE a.updated_at END, NEW.finished_at))
            - julianday(a.created_at))
        FROM approvals a WHERE a.task_id = NEW.task_id AND a.action_type = 'server_question'
            AND a.created_at BETWEEN NEW.started_at AND NEW.finished_at), 0.0)) * 86400000.0) AS INTEGER), 1)) WHERE true
    ON CONFLICT (day) DO UPDATE SET worked_ms = as_definer(work_time.worked_ms + excluded.worked_ms);
END;
