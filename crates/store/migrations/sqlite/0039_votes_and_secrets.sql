-- A yes counts only while its giver may decide: who was suspended, or lost the right, after agreeing is one person less.
DROP TRIGGER trg_approvals_enough;
CREATE TRIGGER trg_approvals_enough BEFORE UPDATE OF status ON approvals
WHEN NEW.status = 'approved' AND OLD.status = 'pending'
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_approvers')
    WHERE 1 + (SELECT count(*) FROM approval_votes v JOIN users u ON u.id = v.user_id
               WHERE v.approval_id = NEW.id AND v.user_id IS NOT NEW.approved_by AND u.status = 'active'
                 AND EXISTS (SELECT 1 FROM role_permissions g WHERE g.role = u.role AND (g.permission IN ('*', 'approval_decide')
                     OR g.permission = 'approval_decide_own'
                        AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = NEW.task_id AND t.created_by = v.user_id))))
        < COALESCE(CAST(json_extract(NEW.details, '$.approvers') AS INTEGER), 1);
END;

-- What a watcher logs in with is sealed, and even so the audit trail says only that it is there.
DROP TRIGGER trg_watchers_audit_ins;
DROP TRIGGER trg_watchers_audit;
DROP TRIGGER trg_watchers_audit_del;
CREATE TRIGGER trg_watchers_audit_ins AFTER INSERT ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_created', 'watcher', NEW.id, NULL, audit_values(
        'id', NEW.id, 'name', NEW.name, 'watcher_type', NEW.watcher_type, 'config:json-credentials', NEW.config,
        'is_active:bool', NEW.is_active, 'last_error', NEW.last_error, 'error_count', NEW.error_count,
        'created_at:time', NEW.created_at, 'created_by', NEW.created_by),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_watchers_audit AFTER UPDATE OF id, name, watcher_type, config, is_active, last_error, error_count, created_at, created_by ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_updated', 'watcher', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'name', OLD.name, NEW.name, 'watcher_type', OLD.watcher_type, NEW.watcher_type,
        'config:json-credentials', OLD.config, NEW.config, 'is_active:bool', OLD.is_active, NEW.is_active,
        'last_error', OLD.last_error, NEW.last_error, 'error_count', OLD.error_count, NEW.error_count,
        'created_at:time', OLD.created_at, NEW.created_at, 'created_by', OLD.created_by, NEW.created_by) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_watchers_audit_del AFTER DELETE ON watchers
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'watcher_deleted', 'watcher', OLD.id, audit_values(
        'id', OLD.id, 'name', OLD.name, 'watcher_type', OLD.watcher_type, 'config:json-credentials', OLD.config,
        'is_active:bool', OLD.is_active, 'last_error', OLD.last_error, 'error_count', OLD.error_count,
        'created_at:time', OLD.created_at, 'created_by', OLD.created_by), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
