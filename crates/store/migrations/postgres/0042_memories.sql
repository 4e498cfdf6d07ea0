-- What the employee learned at work and what people told it, each with its source.
CREATE TABLE memories (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    content TEXT NOT NULL CONSTRAINT chk_memory_content CHECK (length(content) BETWEEN 1 AND 1000),
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,            -- for whose work it is; NULL: everybody's
    source VARCHAR(20) NOT NULL CONSTRAINT chk_memory_source CHECK (source IN ('person', 'task')),
    outside BOOLEAN NOT NULL DEFAULT false,                         -- learned from what somebody outside wrote
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,
    step_id UUID REFERENCES steps(id) ON DELETE SET NULL,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    edited_at TIMESTAMPTZ,
    CONSTRAINT chk_memory_outside CHECK (source = 'task' OR NOT outside)
);
CREATE INDEX idx_memories_user_id ON memories(user_id, created_at DESC);
CREATE INDEX idx_memories_task_id ON memories(task_id);
CREATE INDEX idx_memories_step_id ON memories(step_id);
CREATE INDEX idx_memories_created_by ON memories(created_by);

CREATE TRIGGER trg_memories_audit AFTER INSERT OR UPDATE OR DELETE ON memories FOR EACH ROW EXECUTE FUNCTION audit_row('memory', '', '');

ALTER TABLE memories ENABLE ROW LEVEL SECURITY;
ALTER TABLE memories FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_memories ON memories TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_memories ON memories TO app_service USING (true) WITH CHECK (true);
-- The employee works for everybody; what it may tell whom is judged where it recalls.
CREATE POLICY memories_view ON memories FOR SELECT TO app_user USING ((SELECT has_permission(current_user_id(), 'sign_in'))
    AND (user_id IS NULL OR user_id = (SELECT current_user_id()) OR (SELECT has_permission(current_user_id(), 'policy_admin'))
      OR (SELECT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = (SELECT current_user_id()) AND a.kind = 'employee'))));
-- (approval_decide_own is what no agent and no observer has.)
CREATE POLICY memories_add ON memories FOR INSERT TO app_user WITH CHECK (created_by = (SELECT current_user_id()) AND (
    (source = 'person' AND task_id IS NULL AND step_id IS NULL AND ((SELECT has_permission(current_user_id(), 'policy_admin'))
      OR (user_id = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'approval_decide_own')))))
    OR (source = 'task' AND user_id IS NOT NULL AND (SELECT has_permission(current_user_id(), 'task_create'))
      AND (SELECT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = (SELECT current_user_id()) AND a.kind = 'employee'))
      AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = task_id AND t.assigned_to = (SELECT current_user_id())))));
CREATE POLICY memories_edit ON memories FOR UPDATE TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin'))
    OR (user_id = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'approval_decide_own'))));
CREATE POLICY memories_forget ON memories FOR DELETE TO app_user USING ((SELECT has_permission(current_user_id(), 'policy_admin'))
    OR (user_id = (SELECT current_user_id()) AND (SELECT has_permission(current_user_id(), 'approval_decide_own'))));

GRANT SELECT ON memories TO app_user, app_service;
GRANT INSERT, DELETE, UPDATE (content, edited_at) ON memories TO app_user;
