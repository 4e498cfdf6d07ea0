-- Whoever may decide an approval may give it more time: while it is open, later than it stands, at most 30 days from now.
GRANT UPDATE (expires_at) ON approvals TO app_user;
CREATE POLICY approvals_extend ON approvals FOR UPDATE TO app_user
    USING (status = 'pending' AND ((SELECT has_permission(current_user_id(), 'approval_decide'))
        OR ((SELECT has_permission(current_user_id(), 'approval_decide_own'))
            AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = (SELECT current_user_id())))))
    WITH CHECK (status = 'pending' AND approved_by IS NULL AND rejected_by IS NULL AND notes IS NULL);
CREATE FUNCTION approvals_extend() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN
    IF OLD.status <> 'pending' THEN
        RAISE EXCEPTION 'approval % is already %', OLD.id, OLD.status
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_final', TABLE = 'approvals';
    END IF;
    IF OLD.expires_at <= now() THEN
        RAISE EXCEPTION 'approval % has expired', OLD.id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_not_expired', TABLE = 'approvals';
    END IF;
    IF (NEW.expires_at > OLD.expires_at AND NEW.expires_at <= now() + interval '30 days') IS NOT TRUE THEN
        RAISE EXCEPTION 'approval % is given no such time', OLD.id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_extension', TABLE = 'approvals';
    END IF;
    RETURN NEW;
END $fn$;
REVOKE ALL ON FUNCTION approvals_extend() FROM PUBLIC;
CREATE TRIGGER trg_approvals_extend BEFORE UPDATE OF expires_at ON approvals
    FOR EACH ROW EXECUTE FUNCTION approvals_extend();
