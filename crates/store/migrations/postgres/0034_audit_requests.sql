-- Which request made a change: the id under which the log has it. The specification's audit_trail has no column for it, and
-- its rows are hashed as they are; so it stands beside them, written by the database in the same statement.
CREATE TABLE audit_requests (
    -- As in audit_chain there is no foreign key: nothing but the trigger below writes here, and nothing is ever deleted.
    audit_id UUID PRIMARY KEY,
    request_id VARCHAR(255) NOT NULL CONSTRAINT audit_requests_request_id_check CHECK (request_id <> '')
);
CREATE INDEX idx_audit_requests_request_id ON audit_requests(request_id);
CREATE FUNCTION audit_request_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    INSERT INTO public.audit_requests (audit_id, request_id) VALUES (NEW.id, left(current_setting('app.request_id', true), 255));
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_audit_request AFTER INSERT ON audit_trail
    FOR EACH ROW WHEN (current_setting('app.request_id', true) <> '') EXECUTE FUNCTION audit_request_note();
CREATE TRIGGER trg_audit_requests_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_requests
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_append_only();
ALTER TABLE audit_requests ENABLE ALWAYS TRIGGER trg_audit_requests_append_only;

ALTER TABLE audit_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_audit_requests ON audit_requests TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_audit_requests ON audit_requests TO app_service USING (true) WITH CHECK (true);
-- Seen with the change that it belongs to.
CREATE POLICY audit_requests_view ON audit_requests FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM audit_trail a WHERE a.id = audit_requests.audit_id));
GRANT SELECT ON audit_requests TO app_user, app_service;
GRANT INSERT ON audit_requests TO app_definer;
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION audit_request_note() OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION audit_request_note() FROM PUBLIC;
