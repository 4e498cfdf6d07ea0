-- Rules that say how many people must agree, whom to remind and what is never repeated; people's agreement one by one; and
-- the contacts whom the owner knows.
ALTER TABLE policies ADD COLUMN approvers INTEGER NOT NULL DEFAULT 1 CONSTRAINT chk_policy_approvers CHECK (approvers BETWEEN 1 AND 5);
ALTER TABLE policies ADD COLUMN never_repeat BOOLEAN NOT NULL DEFAULT false;    -- whatever the owner said of the tool
ALTER TABLE policies ADD COLUMN remind_minutes INTEGER CONSTRAINT chk_policy_remind CHECK (remind_minutes BETWEEN 1 AND 525600);
ALTER TABLE policies ADD COLUMN escalate_minutes INTEGER CONSTRAINT chk_policy_escalate CHECK (escalate_minutes BETWEEN 1 AND 525600);
ALTER TABLE policies ADD COLUMN escalate_to UUID REFERENCES users(id) ON DELETE SET NULL;   -- NULL: everybody else who may decide
CREATE INDEX idx_policies_escalate_to ON policies(escalate_to) WHERE escalate_to IS NOT NULL;
GRANT UPDATE (approvers, never_repeat, remind_minutes, escalate_minutes, escalate_to) ON policies TO app_user;

-- One person's yes where several are needed. A no needs no second one.
CREATE TABLE approval_votes (
    approval_id UUID NOT NULL REFERENCES approvals(id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users(id),
    note TEXT CONSTRAINT chk_approval_vote_note CHECK (length(note) <= 4000),
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (approval_id, user_id)
);
CREATE INDEX idx_approval_votes_user_id ON approval_votes(user_id);
-- The last yes counts only with the others before it, each of another person. How many there must be is frozen in the question.
CREATE FUNCTION approvals_enough() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF 1 + (SELECT count(*) FROM public.approval_votes v WHERE v.approval_id = NEW.id AND v.user_id IS DISTINCT FROM NEW.approved_by)
       < COALESCE(substring(NEW.details ->> 'approvers' FROM '^[0-9]{1,2}$')::integer, 1) THEN
        RAISE EXCEPTION 'approval % needs more people', NEW.id
              USING ERRCODE = 'check_violation', CONSTRAINT = 'chk_approval_approvers', TABLE = 'approvals';
    END IF;
    RETURN NEW;
END $fn$;
CREATE TRIGGER trg_approvals_enough BEFORE UPDATE OF status ON approvals FOR EACH ROW
    WHEN (NEW.status = 'approved' AND OLD.status = 'pending') EXECUTE FUNCTION approvals_enough();

-- Whom the owner knows: rules may ask for them.
CREATE TABLE contacts (
    address VARCHAR(320) PRIMARY KEY CONSTRAINT chk_contact_address CHECK (length(address) > 0 AND address = lower(address)),
    name VARCHAR(200),
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_contacts_created_by ON contacts(created_by);

-- How often tools were really called of late, by whomever: counts name no task. One at a time, so that two calls that start
-- at once do not both find room for one.
CREATE FUNCTION calls_made(p_minutes bigint) RETURNS TABLE (server text, tool text, made bigint) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    IF public.has_permission(public.current_user_id(), 'sign_in') IS NOT TRUE THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('steps.calls_made', 0));
    RETURN QUERY SELECT s.server::text, s.tool::text, count(*) FROM public.steps s
        WHERE s.started_at > public.from_now(-p_minutes * 60000) GROUP BY s.server, s.tool;
END $fn$;

CREATE TRIGGER trg_approval_votes_audit AFTER INSERT OR UPDATE OR DELETE ON approval_votes FOR EACH ROW EXECUTE FUNCTION audit_row('approval_vote:approval_id', '', '');
CREATE TRIGGER trg_contacts_audit AFTER INSERT OR UPDATE OR DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION audit_row('contact', '', '');

DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['approval_votes', 'contacts'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY definer_%s ON %I TO app_definer USING (true) WITH CHECK (true)', t, t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
CREATE POLICY approval_votes_view ON approval_votes FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM approvals a WHERE a.id = approval_id));
-- Only who may decide may agree, and only while the decision is open.
CREATE POLICY approval_votes_add ON approval_votes FOR INSERT TO app_user WITH CHECK (
    user_id = (SELECT current_user_id()) AND EXISTS (SELECT 1 FROM approvals a LEFT JOIN tasks t ON t.id = a.task_id
      WHERE a.id = approval_id AND a.status = 'pending' AND ((SELECT has_permission(current_user_id(), 'approval_decide'))
        OR ((SELECT has_permission(current_user_id(), 'approval_decide_own')) AND t.created_by = (SELECT current_user_id())))));
CREATE POLICY contacts_view ON contacts FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in')));
CREATE POLICY contacts_add ON contacts FOR INSERT TO app_user
    WITH CHECK (created_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'policy_admin')));
CREATE POLICY contacts_remove ON contacts FOR DELETE TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin')));

GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION approvals_enough() OWNER TO app_definer;
ALTER FUNCTION calls_made(bigint) OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION approvals_enough(), calls_made(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION calls_made(bigint) TO app_user;
GRANT SELECT ON approval_votes, steps TO app_definer;
GRANT SELECT ON approval_votes, contacts TO app_user, app_service;
GRANT INSERT ON approval_votes, contacts TO app_user;
GRANT DELETE ON contacts TO app_user;
