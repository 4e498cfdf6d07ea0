-- How much may go wrong with what a rule asks a person about; a yes to high risk needs somebody who has just shown who it is.
ALTER TABLE policies ADD COLUMN risk TEXT NOT NULL DEFAULT 'normal' CONSTRAINT chk_policy_risk CHECK (risk IN ('low', 'normal', 'high'));

-- The audit of rules, with the new column.
DROP TRIGGER trg_policies_audit_ins;
DROP TRIGGER trg_policies_audit;
DROP TRIGGER trg_policies_audit_del;
CREATE TRIGGER trg_policies_audit_ins AFTER INSERT ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_created', 'policy', NEW.id, NULL, audit_values(
        'id', NEW.id, 'position', NEW.position, 'name', NEW.name, 'server', NEW.server, 'tool', NEW.tool,
        'condition', NEW.condition, 'outside:bool', NEW.outside, 'effect', NEW.effect,
        'approval_ttl_minutes', NEW.approval_ttl_minutes, 'is_active:bool', NEW.is_active, 'created_by', NEW.created_by,
        'created_at:time', NEW.created_at, 'risk', NEW.risk),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_policies_audit AFTER UPDATE OF id, position, name, server, tool, condition, outside, effect, approval_ttl_minutes, is_active,
    created_by, created_at, risk ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_updated', 'policy', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'position', OLD.position, NEW.position, 'name', OLD.name, NEW.name,
        'server', OLD.server, NEW.server, 'tool', OLD.tool, NEW.tool, 'condition', OLD.condition, NEW.condition,
        'outside:bool', OLD.outside, NEW.outside, 'effect', OLD.effect, NEW.effect,
        'approval_ttl_minutes', OLD.approval_ttl_minutes, NEW.approval_ttl_minutes,
        'is_active:bool', OLD.is_active, NEW.is_active, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'risk', OLD.risk, NEW.risk) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_policies_audit_del AFTER DELETE ON policies
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'policy_deleted', 'policy', OLD.id, audit_values(
        'id', OLD.id, 'position', OLD.position, 'name', OLD.name, 'server', OLD.server, 'tool', OLD.tool,
        'condition', OLD.condition, 'outside:bool', OLD.outside, 'effect', OLD.effect,
        'approval_ttl_minutes', OLD.approval_ttl_minutes, 'is_active:bool', OLD.is_active, 'created_by', OLD.created_by,
        'created_at:time', OLD.created_at, 'risk', OLD.risk), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
