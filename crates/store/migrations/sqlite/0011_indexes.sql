-- Indexes: users
-- Case-insensitive (SQLite folds ASCII letters only).
-- (The newest is asked first: where name and address are both taken, the name is said, as on PostgreSQL.)
CREATE UNIQUE INDEX idx_users_email ON users(lower(email));
CREATE UNIQUE INDEX idx_users_username ON users(lower(username));
CREATE INDEX idx_users_status ON users(status);
-- Indexes: tasks
CREATE INDEX idx_tasks_status ON tasks(status);
CREATE INDEX idx_tasks_priority ON tasks(priority);
CREATE INDEX idx_tasks_assigned_to ON tasks(assigned_to);
CREATE INDEX idx_tasks_due_date ON tasks(due_date);
CREATE INDEX idx_tasks_created_at ON tasks(created_at DESC);
-- Indexes: approvals
CREATE INDEX idx_approvals_status ON approvals(status);
CREATE INDEX idx_approvals_task_id ON approvals(task_id);
CREATE INDEX idx_approvals_expires_at ON approvals(expires_at);
-- Indexes: system logs
CREATE INDEX idx_system_logs_timestamp ON system_logs(timestamp DESC);
CREATE INDEX idx_system_logs_level ON system_logs(level);
CREATE INDEX idx_system_logs_module ON system_logs(module);
-- Indexes: sessions
-- (idx_sessions_token stands in 0007.)
CREATE INDEX idx_sessions_user_id ON sessions(user_id);
CREATE INDEX idx_sessions_expires_at ON sessions(expires_at);
-- Indexes: file attachments
CREATE INDEX idx_file_attachments_task_id ON file_attachments(task_id);
CREATE INDEX idx_file_attachments_uploaded_by ON file_attachments(uploaded_by);
-- Composite
CREATE INDEX idx_tasks_status_priority ON tasks(status, priority);
CREATE INDEX idx_tasks_assigned_status ON tasks(assigned_to, status);
CREATE INDEX idx_tasks_user_status ON tasks(created_by, status);
CREATE INDEX idx_approvals_status_requested ON approvals(status, requested_by);
CREATE INDEX idx_approvals_user_status ON approvals(approved_by, status);
CREATE INDEX idx_system_logs_user_timestamp ON system_logs(user_id, timestamp DESC);
CREATE INDEX idx_system_logs_module_level ON system_logs(module, level);
-- foreign keys, the audit trail's reads, reverse dependencies, due notifications.
CREATE INDEX idx_approvals_rejected_by ON approvals(rejected_by) WHERE rejected_by IS NOT NULL;
CREATE INDEX idx_system_logs_task_id ON system_logs(task_id) WHERE task_id IS NOT NULL;
CREATE INDEX idx_watchers_created_by ON watchers(created_by);
CREATE INDEX idx_notifications_due ON notifications(scheduled_for) WHERE sent_at IS NULL;
CREATE INDEX idx_audit_trail_user_created ON audit_trail(user_id, created_at DESC);
CREATE INDEX idx_audit_trail_entity ON audit_trail(entity_type, entity_id, created_at DESC);
-- Pages, newest first: whose rows they are leads and the order follows, so that a page costs the same however much
-- others have (and however much one has oneself).
CREATE INDEX idx_tasks_created_by_newest ON tasks(created_by, created_at DESC, id DESC);
CREATE INDEX idx_tasks_assigned_to_newest ON tasks(assigned_to, created_at DESC, id DESC);
CREATE INDEX idx_tasks_created_by_status_newest ON tasks(created_by, status, created_at DESC, id DESC);
CREATE INDEX idx_tasks_assigned_to_status_newest ON tasks(assigned_to, status, created_at DESC, id DESC);
CREATE INDEX idx_tasks_status_newest ON tasks(status, created_at DESC, id DESC);
CREATE INDEX idx_approvals_requested_by ON approvals(requested_by, created_at DESC, id DESC);
CREATE INDEX idx_approvals_newest ON approvals(created_at DESC, id DESC);
CREATE INDEX idx_approvals_status_newest ON approvals(status, created_at DESC, id DESC);
CREATE INDEX idx_notifications_user_newest ON notifications(user_id, created_at DESC, id DESC);
CREATE INDEX idx_notifications_user_status ON notifications(user_id, status, created_at DESC, id DESC);
CREATE INDEX idx_audit_trail_newest ON audit_trail(created_at DESC, id DESC);
-- Whether a stored file still belongs to somebody.
CREATE INDEX idx_file_attachments_storage_path ON file_attachments(storage_path);

-- Reverse dependencies: a JSON array has no index of its elements, so the pairs stand in a table that triggers keep.
CREATE TABLE task_dependencies (
    task_id TEXT NOT NULL,
    depends_on TEXT NOT NULL,
    PRIMARY KEY (task_id, depends_on)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_tasks_dependencies ON task_dependencies(depends_on);
CREATE TRIGGER trg_tasks_dependencies_ins AFTER INSERT ON tasks WHEN NEW.dependencies <> '[]'
BEGIN
    INSERT OR IGNORE INTO task_dependencies (task_id, depends_on) SELECT NEW.id, d.value FROM json_each(NEW.dependencies) d WHERE d.type = 'text';
END;
CREATE TRIGGER trg_tasks_dependencies_upd AFTER UPDATE OF dependencies, id ON tasks
WHEN NEW.dependencies <> OLD.dependencies OR NEW.id <> OLD.id
BEGIN
    DELETE FROM task_dependencies WHERE task_id = OLD.id;
    INSERT OR IGNORE INTO task_dependencies (task_id, depends_on) SELECT NEW.id, d.value FROM json_each(NEW.dependencies) d WHERE d.type = 'text';
END;

-- Full text: FTS5 over the tables' own text, stemmed for English, accents kept as PostgreSQL keeps them. The id stands in it, so that a search joins on it and not on the rowid.
-- (VACUUM keeps rowids of tables with an index, as these; if ever in doubt:
-- INSERT INTO idx_tasks_fulltext(idx_tasks_fulltext) VALUES ('rebuild').)
CREATE VIRTUAL TABLE idx_tasks_fulltext USING fts5(id UNINDEXED, title, description,
    content = 'tasks', content_rowid = 'rowid', tokenize = 'porter unicode61 remove_diacritics 0');
CREATE TRIGGER trg_tasks_fulltext_ins AFTER INSERT ON tasks
BEGIN
    INSERT INTO idx_tasks_fulltext (rowid, id, title, description) VALUES (NEW.rowid, NEW.id, NEW.title, NEW.description);
END;
CREATE TRIGGER trg_tasks_fulltext_upd AFTER UPDATE OF title, description ON tasks
WHEN NEW.title IS NOT OLD.title OR NEW.description IS NOT OLD.description
BEGIN
    INSERT INTO idx_tasks_fulltext (idx_tasks_fulltext, rowid, id, title, description) VALUES ('delete', OLD.rowid, OLD.id, OLD.title, OLD.description);
    INSERT INTO idx_tasks_fulltext (rowid, id, title, description) VALUES (NEW.rowid, NEW.id, NEW.title, NEW.description);
END;
CREATE TRIGGER trg_tasks_fulltext_del AFTER DELETE ON tasks
BEGIN
    INSERT INTO idx_tasks_fulltext (idx_tasks_fulltext, rowid, id, title, description) VALUES ('delete', OLD.rowid, OLD.id, OLD.title, OLD.description);
END;
CREATE VIRTUAL TABLE idx_logs_fulltext USING fts5(id UNINDEXED, timestamp UNINDEXED, message,
    content = 'system_logs', content_rowid = 'rowid', tokenize = 'porter unicode61 remove_diacritics 0');
CREATE TRIGGER trg_logs_fulltext_ins AFTER INSERT ON system_logs WHEN NEW.message IS NOT NULL
BEGIN
    INSERT INTO idx_logs_fulltext (rowid, id, timestamp, message) VALUES (NEW.rowid, NEW.id, NEW.timestamp, NEW.message);
END;
CREATE TRIGGER trg_logs_fulltext_upd AFTER UPDATE OF message ON system_logs WHEN NEW.message IS NOT OLD.message
BEGIN
    INSERT INTO idx_logs_fulltext (idx_logs_fulltext, rowid, id, timestamp, message)
    SELECT 'delete', OLD.rowid, OLD.id, OLD.timestamp, OLD.message WHERE OLD.message IS NOT NULL;
    INSERT INTO idx_logs_fulltext (rowid, id, timestamp, message)
    SELECT NEW.rowid, NEW.id, NEW.timestamp, NEW.message WHERE NEW.message IS NOT NULL;
END;
CREATE TRIGGER trg_logs_fulltext_del AFTER DELETE ON system_logs WHEN OLD.message IS NOT NULL
BEGIN
    INSERT INTO idx_logs_fulltext (idx_logs_fulltext, rowid, id, timestamp, message) VALUES ('delete', OLD.rowid, OLD.id, OLD.timestamp, OLD.message);
END;
