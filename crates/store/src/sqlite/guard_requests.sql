-- What an actor may write of the requests behind changes, on SQLite (see guard_writes.sql).
CREATE TEMP TRIGGER guard_audit_requests_insert BEFORE INSERT ON main.audit_requests WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: audit_requests'); END;
CREATE TEMP TRIGGER guard_audit_requests_update BEFORE UPDATE ON main.audit_requests
BEGIN SELECT RAISE(ABORT, 'refused: audit_requests'); END;
CREATE TEMP TRIGGER guard_audit_requests_delete BEFORE DELETE ON main.audit_requests
BEGIN SELECT RAISE(ABORT, 'refused: audit_requests'); END;
