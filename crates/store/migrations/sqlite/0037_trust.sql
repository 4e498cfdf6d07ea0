-- Rules that say how many people must agree, whom to remind and what is never repeated; people's agreement one by one; and
-- the contacts whom the owner knows.
ALTER TABLE policies ADD COLUMN approvers INTEGER NOT NULL DEFAULT 1 CONSTRAINT chk_policy_approvers CHECK (approvers BETWEEN 1 AND 5);
ALTER TABLE policies ADD COLUMN never_repeat INTEGER NOT NULL DEFAULT 0 CHECK (never_repeat IN (0, 1));   -- whatever the owner said of the tool
ALTER TABLE policies ADD COLUMN remind_minutes INTEGER CONSTRAINT chk_policy_remind CHECK (remind_minutes BETWEEN 1 AND 525600);
ALTER TABLE policies ADD COLUMN escalate_minutes INTEGER CONSTRAINT chk_policy_escalate CHECK (escalate_minutes BETWEEN 1 AND 525600);
ALTER TABLE policies ADD COLUMN escalate_to TEXT REFERENCES users(id) ON DELETE SET NULL;   -- NULL: everybody else who may decide
CREATE INDEX idx_policies_escalate_to ON policies(escalate_to) WHERE escalate_to IS NOT NULL;

-- One person's yes where several are needed. A no needs no second one.
CREATE TABLE approval_votes (
    approval_id TEXT NOT NULL REFERENCES approvals(id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users(id),
    note TEXT,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    PRIMARY KEY (approval_id, user_id),
    CONSTRAINT chk_approval_vote_note CHECK (length(note) <= 4000)
) STRICT;
CREATE INDEX idx_approval_votes_user_id ON approval_votes(user_id);
-- The last yes counts only with the others before it, each of another person. How many there must be is frozen in the question.
CREATE TRIGGER trg_approvals_enough BEFORE UPDATE OF status ON approvals
WHEN NEW.status = 'approved' AND OLD.status = 'pending'
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_approvers')
    WHERE 1 + (SELECT count(*) FROM approval_votes v WHERE v.approval_id = NEW.id AND v.user_id IS NOT NEW.approved_by)
        < COALESCE(CAST(json_extract(NEW.details, '$.approvers') AS INTEGER), 1);
END;

-- Whom the owner knows: rules may ask for them.
CREATE TABLE contacts (
    address TEXT NOT NULL PRIMARY KEY CHECK (length(address) <= 320),
    name TEXT CHECK (length(name) <= 200),
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT chk_contact_address CHECK (length(address) > 0 AND address = lower(address))
) STRICT;
CREATE INDEX idx_contacts_created_by ON contacts(created_by);

-- The audit of rules, with the new columns.
DROP TRIGGER trg_policies_audit_ins;
DROP TRIGGER trg_policies_audit;
DROP TRIGGER trg_policies_audit_del;
CREATE TRIGGER trg_policies_audit_ins AFTER INSERT ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_created', 'policy', NEW.id, NULL, audit_values(
        'id', NEW.id, 'position', NEW.position, 'name', NEW.name, 'server', NEW.server, 'tool', NEW.tool, 'condition',
        NEW.condition, 'outside:bool', NEW.outside, 'effect', NEW.effect, 'approval_ttl_minutes', NEW.approval_ttl_minutes,
        'is_active:bool', NEW.is_active, 'created_by', NEW.created_by, 'created_at:time', NEW.created_at, 'risk', NEW.risk,
        'approvers', NEW.approvers, 'never_repeat:bool', NEW.never_repeat, 'remind_minutes', NEW.remind_minutes,
        'escalate_minutes', NEW.escalate_minutes, 'escalate_to', NEW.escalate_to),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_policies_audit AFTER UPDATE OF id, position, name, server, tool, condition, outside, effect, approval_ttl_minutes, is_active, created_by, created_at,
    risk, approvers, never_repeat, remind_minutes, escalate_minutes, escalate_to ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_updated', 'policy', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'position', OLD.position, NEW.position, 'name', OLD.name, NEW.name, 'server', OLD.server,
        NEW.server, 'tool', OLD.tool, NEW.tool, 'condition', OLD.condition, NEW.condition, 'outside:bool', OLD.outside,
        NEW.outside, 'effect', OLD.effect, NEW.effect, 'approval_ttl_minutes', OLD.approval_ttl_minutes,
        NEW.approval_ttl_minutes, 'is_active:bool', OLD.is_active, NEW.is_active, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'risk', OLD.risk, NEW.risk, 'approvers', OLD.approvers,
        NEW.approvers, 'never_repeat:bool', OLD.never_repeat, NEW.never_repeat, 'remind_minutes', OLD.remind_minutes,
        NEW.remind_minutes, 'escalate_minutes', OLD.escalate_minutes, NEW.escalate_minutes, 'escalate_to', OLD.escalate_to,
        NEW.escalate_to) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_policies_audit_del AFTER DELETE ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_deleted', 'policy', OLD.id, audit_values(
        'id', OLD.id, 'position', OLD.position, 'name', OLD.name, 'server', OLD.server, 'tool', OLD.tool, 'condition',
        OLD.condition, 'outside:bool', OLD.outside, 'effect', OLD.effect, 'approval_ttl_minutes', OLD.approval_ttl_minutes,
        'is_active:bool', OLD.is_active, 'created_by', OLD.created_by, 'created_at:time', OLD.created_at, 'risk', OLD.risk,
        'approvers', OLD.approvers, 'never_repeat:bool', OLD.never_repeat, 'remind_minutes', OLD.remind_minutes,
        'escalate_minutes', OLD.escalate_minutes, 'escalate_to', OLD.escalate_to), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_votes_audit_ins AFTER INSERT ON approval_votes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_vote_created', 'approval_vote', NEW.approval_id, NULL, audit_values(
        'approval_id', NEW.approval_id, 'user_id', NEW.user_id, 'note', NEW.note, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_approval_votes_audit AFTER UPDATE OF approval_id, user_id, note, created_at ON approval_votes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_vote_updated', 'approval_vote', NEW.approval_id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'approval_id', OLD.approval_id, NEW.approval_id, 'user_id', OLD.user_id, NEW.user_id, 'note', OLD.note, NEW.note,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_approval_votes_audit_del AFTER DELETE ON approval_votes
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'approval_vote_deleted', 'approval_vote', OLD.approval_id, audit_values(
        'approval_id', OLD.approval_id, 'user_id', OLD.user_id, 'note', OLD.note, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_contacts_audit_ins AFTER INSERT ON contacts
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'contact_created', 'contact', NULL, NULL, audit_values(
        'address', NEW.address, 'name', NEW.name, 'created_by', NEW.created_by, 'created_at:time', NEW.created_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_contacts_audit AFTER UPDATE OF address, name, created_by, created_at ON contacts
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'contact_updated', 'contact', NULL, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'address', OLD.address, NEW.address, 'name', OLD.name, NEW.name, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_contacts_audit_del AFTER DELETE ON contacts
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'contact_deleted', 'contact', NULL, audit_values(
        'address', OLD.address, 'name', OLD.name, 'created_by', OLD.created_by, 'created_at:time', OLD.created_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
