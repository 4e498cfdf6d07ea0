-- Indexes: users
-- FIX 13: as written the two duplicated the UNIQUE indexes; made case-insensitive they do work the seed lacks.
CREATE UNIQUE INDEX idx_users_username ON users(lower(username));
CREATE UNIQUE INDEX idx_users_email ON users(lower(email));
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
-- FIX 13: idx_sessions_token is the index of the UNIQUE constraint of that name: one index, not two.
CREATE INDEX idx_sessions_user_id ON sessions(user_id);
CREATE INDEX idx_sessions_expires_at ON sessions(expires_at);
-- Indexes: file attachments
CREATE INDEX idx_file_attachments_task_id ON file_attachments(task_id);
-- FIX 01: the column is uploaded_by, not upload_by.
CREATE INDEX idx_file_attachments_uploaded_by ON file_attachments(uploaded_by);
-- Composite
CREATE INDEX idx_tasks_status_priority ON tasks(status, priority);
CREATE INDEX idx_tasks_assigned_status ON tasks(assigned_to, status);
CREATE INDEX idx_tasks_user_status ON tasks(created_by, status);
CREATE INDEX idx_approvals_status_requested ON approvals(status, requested_by);
CREATE INDEX idx_approvals_user_status ON approvals(approved_by, status);
CREATE INDEX idx_system_logs_user_timestamp ON system_logs(user_id, timestamp DESC);
CREATE INDEX idx_system_logs_module_level ON system_logs(module, level);
-- Full text
CREATE INDEX idx_tasks_fulltext ON tasks USING gin(to_tsvector('english', title || ' ' || COALESCE(description, '')));
CREATE INDEX idx_logs_fulltext ON system_logs USING gin(to_tsvector('english', message));
-- FIX 13: indexes the seed lacks: foreign keys, the audit trail's reads, reverse dependencies, due notifications.
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
CREATE INDEX idx_tasks_dependencies ON tasks USING gin(dependencies);
