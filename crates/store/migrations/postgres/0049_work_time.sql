-- How long the employee was at work, by UTC day: a trigger adds up what models and tools took, so that a limit needs no sum over
-- all of it. What people took to answer is no work, and neither is what nobody saw the end of.
CREATE TABLE work_time (
    day DATE PRIMARY KEY,
    worked_ms BIGINT NOT NULL CHECK (worked_ms >= 0)
);

CREATE FUNCTION work_time_add() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
DECLARE took numeric;
BEGIN
    IF TG_TABLE_NAME = 'model_turns' THEN
        took := extract(epoch FROM NEW.answered_at - NEW.asked_at);
    ELSE
        -- Less the time in which a person was asked what the server wanted to know.
        took := extract(epoch FROM NEW.finished_at - NEW.started_at) - COALESCE((
            SELECT sum(extract(epoch FROM LEAST(CASE a.status WHEN 'pending' THEN NEW.finished_at ELSE a.updated_at END, NEW.finished_at)
                - a.created_at))
            FROM public.approvals a WHERE a.task_id = NEW.task_id AND a.action_type = 'server_question'
                AND a.created_at BETWEEN NEW.started_at AND NEW.finished_at), 0);
    END IF;
    INSERT INTO public.work_time AS w (day, worked_ms)
    VALUES ((now() AT TIME ZONE 'UTC')::date, GREATEST(round(took * 1000), 1)::bigint)
    ON CONFLICT (day) DO UPDATE SET worked_ms = w.worked_ms + excluded.worked_ms;
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_model_turns_work_time AFTER UPDATE OF state ON model_turns FOR EACH ROW
    WHEN (OLD.state = 'asked' AND (NEW.state = 'answered' OR NEW.state = 'failed' AND NEW.input_tokens > 0)) EXECUTE FUNCTION work_time_add();
CREATE TRIGGER trg_steps_work_time AFTER UPDATE OF state ON steps FOR EACH ROW
    WHEN (OLD.state = 'started' AND NEW.state IN ('succeeded', 'failed') AND NEW.started_at IS NOT NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION work_time_add();

ALTER TABLE work_time ENABLE ROW LEVEL SECURITY;
ALTER TABLE work_time FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_work_time ON work_time TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_work_time ON work_time TO app_service USING (true) WITH CHECK (true);
-- It names no task, and whoever is bound by a limit may know how near it is.
CREATE POLICY work_time_view ON work_time FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));

GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION work_time_add() OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION work_time_add() FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON work_time TO app_definer;
GRANT SELECT ON work_time TO app_user, app_service;
