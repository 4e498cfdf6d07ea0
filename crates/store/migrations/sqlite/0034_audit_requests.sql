-- Which request made a change: the id under which the log has it. The specification's audit_trail has no column for it, and
-- its rows are hashed as they are; so it stands beside them, written by the database in the same statement.
CREATE TABLE audit_requests (
    -- as in audit_chain there is no foreign key: nothing but the trigger below writes here, and nothing is ever deleted
    audit_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL CHECK (length(request_id) <= 255) CONSTRAINT audit_requests_request_id_check CHECK (request_id <> '')
) STRICT;
CREATE INDEX idx_audit_requests_request_id ON audit_requests(request_id);
CREATE TRIGGER trg_audit_request AFTER INSERT ON audit_trail WHEN current_request() <> ''
BEGIN INSERT INTO audit_requests (audit_id, request_id) VALUES (NEW.id, as_definer(current_request())); END;
CREATE TRIGGER trg_audit_requests_append_only BEFORE UPDATE ON audit_requests
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER trg_audit_requests_append_only_del BEFORE DELETE ON audit_requests
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER trg_audit_requests_append_only_ins BEFORE INSERT ON audit_requests
WHEN EXISTS (SELECT 1 FROM audit_requests WHERE audit_id = NEW.audit_id)
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
