-- What came from a source is found by its source, and not by going through everybody's tasks of the time.
CREATE INDEX idx_task_provenance_source ON task_provenance(source, created_at, task_id);
