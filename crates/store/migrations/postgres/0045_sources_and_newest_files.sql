-- What came from a source is found by its source, and not by going through everybody's tasks of the time; and the newest files
-- are found by when they came.
-- online
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_task_provenance_source ON task_provenance(source, created_at, task_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_file_attachments_newest ON file_attachments(created_at DESC, id DESC);
