-- 10. Audit trail
CREATE TABLE audit_trail (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id), -- NO ACTION kept on purpose: audited users are deactivated, never deleted
    action VARCHAR(100) NOT NULL,
    entity_type VARCHAR(50),
    entity_id UUID,
    old_values JSONB,
    new_values JSONB,
    ip_address INET,
    user_agent TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
-- FIX 21: an audit trail that can be rewritten is none; refuse UPDATE, DELETE and TRUNCATE for everyone.
CREATE FUNCTION audit_trail_append_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fn$
BEGIN RAISE EXCEPTION 'audit_trail is append-only' USING ERRCODE = 'insufficient_privilege'; END $fn$;
CREATE TRIGGER trg_audit_trail_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_append_only();
ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER trg_audit_trail_append_only;

-- FIX 21: the chain. Each row's hash covers the row and the hash before it, so that an altered, removed, inserted or
-- reordered row shows. The canonical text is jsonb's own; SQLite writes the same (crates/store/src/canonical.rs). There
-- is no foreign key to the row: nothing but the trigger below writes here, nothing is ever deleted, and its check would
-- take a third of the time that the chain's one lock is held.
CREATE TABLE audit_chain (
    seq BIGINT PRIMARY KEY CHECK (seq > 0),
    audit_id UUID NOT NULL UNIQUE,
    previous_sha256 VARCHAR(64) NOT NULL,
    sha256 VARCHAR(64) NOT NULL
);
CREATE FUNCTION audit_canonical(a audit_trail) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
  AS $fn$ SELECT jsonb_build_array(a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values,
     host(a.ip_address), a.user_agent, to_char(a.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text $fn$;
-- Deferred: the one lock of the chain is held from here to the end of the commit, and no longer. The text (that of
-- audit_canonical(), spelled out because a call costs more than all the rest) is made before the lock is taken.
CREATE FUNCTION audit_chain_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
DECLARE
    v_text text := jsonb_build_array(NEW.id, NEW.user_id, NEW.action, NEW.entity_type, NEW.entity_id, NEW.old_values, NEW.new_values,
        host(NEW.ip_address), NEW.user_agent, to_char(NEW.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    v_seq bigint; v_previous text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('steward.audit_chain', 0));
    SELECT c.seq, c.sha256 INTO v_seq, v_previous FROM public.audit_chain c ORDER BY c.seq DESC LIMIT 1;
    v_previous := COALESCE(v_previous, repeat('0', 64));
    INSERT INTO public.audit_chain (seq, audit_id, previous_sha256, sha256)
    VALUES (COALESCE(v_seq, 0) + 1, NEW.id, v_previous, encode(sha256(convert_to(v_previous || E'\n' || v_text, 'UTF8')), 'hex'));
    RETURN NULL;
END $fn$;
CREATE CONSTRAINT TRIGGER trg_audit_chain AFTER INSERT ON audit_trail DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_chain_append();
ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER trg_audit_chain;
CREATE TRIGGER trg_audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_append_only();
ALTER TABLE audit_chain ENABLE ALWAYS TRIGGER trg_audit_chain_append_only;
