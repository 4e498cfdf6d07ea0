-- What the employee learned at work and what people told it, each with its source.
CREATE TABLE memories (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    content TEXT NOT NULL,
    user_id TEXT REFERENCES users(id) ON DELETE CASCADE,            -- for whose work it is; NULL: everybody's
    source TEXT NOT NULL CHECK (length(source) <= 20),
    outside INTEGER NOT NULL DEFAULT 0 CHECK (outside IN (0, 1)),   -- learned from what somebody outside wrote
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,
    step_id TEXT REFERENCES steps(id) ON DELETE SET NULL,
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    edited_at TEXT CHECK (edited_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT chk_memory_content CHECK (length(content) BETWEEN 1 AND 1000),
    CONSTRAINT chk_memory_source CHECK (source IN ('person', 'task')),
    CONSTRAINT chk_memory_outside CHECK (source = 'task' OR NOT outside)
) STRICT;
CREATE INDEX idx_memories_user_id ON memories(user_id, created_at DESC);
CREATE INDEX idx_memories_task_id ON memories(task_id);
CREATE INDEX idx_memories_step_id ON memories(step_id);
CREATE INDEX idx_memories_created_by ON memories(created_by);

CREATE TRIGGER trg_memories_audit_ins AFTER INSERT ON memories
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'memory_created', 'memory', NEW.id, NULL, audit_values(
        'id', NEW.id, 'content', NEW.content, 'user_id', NEW.user_id, 'source', NEW.source, 'outside:bool', NEW.outside,
        'task_id', NEW.task_id, 'step_id', NEW.step_id, 'created_by', NEW.created_by, 'created_at:time', NEW.created_at,
        'edited_at:time', NEW.edited_at),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_memories_audit AFTER UPDATE OF id, content, user_id, source, outside, task_id, step_id, created_by, created_at,
    edited_at ON memories
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'memory_updated', 'memory', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'id', OLD.id, NEW.id, 'content', OLD.content, NEW.content, 'user_id', OLD.user_id, NEW.user_id,
        'source', OLD.source, NEW.source, 'outside:bool', OLD.outside, NEW.outside, 'task_id', OLD.task_id, NEW.task_id,
        'step_id', OLD.step_id, NEW.step_id, 'created_by', OLD.created_by, NEW.created_by,
        'created_at:time', OLD.created_at, NEW.created_at, 'edited_at:time', OLD.edited_at, NEW.edited_at) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_memories_audit_del AFTER DELETE ON memories
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'memory_deleted', 'memory', OLD.id, audit_values(
        'id', OLD.id, 'content', OLD.content, 'user_id', OLD.user_id, 'source', OLD.source, 'outside:bool', OLD.outside,
        'task_id', OLD.task_id, 'step_id', OLD.step_id, 'created_by', OLD.created_by, 'created_at:time', OLD.created_at,
        'edited_at:time', OLD.edited_at), NULL,
        current_ip(), current_agent(), as_definer(now()); END;
