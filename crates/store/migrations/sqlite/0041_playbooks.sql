-- Playbooks that are kept here and not as files: made of work that a model led, and used only while they are switched on.
CREATE TABLE playbooks (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    name TEXT NOT NULL CHECK (length(name) <= 100),
    source TEXT NOT NULL,                                                           -- YAML; never changed
    is_on INTEGER NOT NULL DEFAULT 0 CHECK (is_on IN (0, 1)),
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,                           -- whose work it was made of
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    switched_at TEXT CHECK (switched_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT uq_playbooks_name UNIQUE (name),
    CONSTRAINT chk_playbook_source CHECK (length(source) BETWEEN 1 AND 262144)
) STRICT;
CREATE INDEX idx_playbooks_task_id ON playbooks(task_id);
CREATE INDEX idx_playbooks_created_by ON playbooks(created_by);

CREATE TRIGGER trg_playbooks_audit_ins AFTER INSERT ON playbooks
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'playbook_created', 'playbook', NEW.id, NULL, audit_values(
        'id', NEW.id, 'name', NEW.name, 'source', NEW.source, 'is_on:bool', NEW.is_on, 'task_id', NEW.task_id,
        'created_by', NEW.created_by, 'created_at:time', NEW.created_at, 'switched_at:time', NEW.switched_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_playbooks_audit AFTER UPDATE OF id, name, source, is_on, task_id, created_by, created_at, switched_at ON playbooks
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'playbook_updated', 'playbook', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'name', OLD.name, NEW.name, 'source', OLD.source, NEW.source, 'is_on:bool', OLD.is_on, NEW.is_on,
        'task_id', OLD.task_id, NEW.task_id, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'switched_at:time', OLD.switched_at, NEW.switched_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_playbooks_audit_del AFTER DELETE ON playbooks
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'playbook_deleted', 'playbook', OLD.id, audit_values(
        'id', OLD.id, 'name', OLD.name, 'source', OLD.source, 'is_on:bool', OLD.is_on, 'task_id', OLD.task_id,
        'created_by', OLD.created_by, 'created_at:time', OLD.created_at, 'switched_at:time', OLD.switched_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
