-- Playbooks that are kept here and not as files: made of work that a model led, and used only while they are switched on.
CREATE TABLE playbooks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(100) NOT NULL CONSTRAINT uq_playbooks_name UNIQUE,
    source TEXT NOT NULL CONSTRAINT chk_playbook_source CHECK (length(source) BETWEEN 1 AND 262144),  -- YAML; never changed
    is_on BOOLEAN NOT NULL DEFAULT false,
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,                           -- whose work it was made of
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    switched_at TIMESTAMPTZ
);
CREATE INDEX idx_playbooks_task_id ON playbooks(task_id);
CREATE INDEX idx_playbooks_created_by ON playbooks(created_by);

CREATE TRIGGER trg_playbooks_audit AFTER INSERT OR UPDATE OR DELETE ON playbooks FOR EACH ROW EXECUTE FUNCTION audit_row('playbook', '', '');

ALTER TABLE playbooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE playbooks FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_playbooks ON playbooks TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_playbooks ON playbooks TO app_service USING (true) WITH CHECK (true);
-- What is not used yet may hold words of a task that others may not see.
CREATE POLICY playbooks_view ON playbooks FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin'))
    OR (is_on AND (SELECT has_permission(current_user_id(), 'sign_in'))));
CREATE POLICY playbooks_add ON playbooks FOR INSERT TO app_user
    WITH CHECK (created_by = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'policy_admin')));
CREATE POLICY playbooks_switch ON playbooks FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin')));
CREATE POLICY playbooks_remove ON playbooks FOR DELETE TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin')));

GRANT SELECT ON playbooks TO app_user, app_service;
GRANT INSERT, DELETE, UPDATE (is_on, switched_at) ON playbooks TO app_user;
