-- Who may agree where several must, and who may say whom the owner knows; run with guard_writes.sql, which says how.

CREATE TEMP TRIGGER guard_approval_votes_insert BEFORE INSERT ON main.approval_votes
BEGIN
    SELECT RAISE(ABORT, 'refused: approval_votes')
    WHERE is_service() OR (NEW.user_id = current_user_id() AND EXISTS (SELECT 1 FROM approvals a LEFT JOIN tasks t ON t.id = a.task_id
        WHERE a.id = NEW.approval_id AND a.status = 'pending' AND (has_permission(current_user_id(), 'approval_decide')
          OR (has_permission(current_user_id(), 'approval_decide_own') AND t.created_by = current_user_id())))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_approval_votes_columns BEFORE UPDATE ON main.approval_votes
BEGIN SELECT RAISE(ABORT, 'refused: approval_votes'); END;
CREATE TEMP TRIGGER guard_approval_votes_delete BEFORE DELETE ON main.approval_votes
WHEN NOT (OLD.approval_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.approvals p WHERE p.id = OLD.approval_id))
BEGIN SELECT RAISE(ABORT, 'refused: approval_votes'); END;

CREATE TEMP TRIGGER guard_contacts_insert BEFORE INSERT ON main.contacts
BEGIN
    SELECT RAISE(ABORT, 'refused: contacts')
    WHERE is_service() OR (NEW.created_by = current_user_id() AND has_permission(current_user_id(), 'policy_admin')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_contacts_update BEFORE UPDATE ON main.contacts
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
BEGIN SELECT RAISE(ABORT, 'refused: contacts'); END;
CREATE TEMP TRIGGER guard_contacts_delete BEFORE DELETE ON main.contacts
BEGIN
    SELECT RAISE(ABORT, 'refused: contacts') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'policy_admin');
END;
