-- 10. Audit trail
CREATE TABLE audit_trail (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    user_id TEXT REFERENCES users(id), -- NO ACTION kept on purpose: audited users are deactivated, never deleted
    action TEXT NOT NULL CHECK (length(action) <= 100),
    entity_type TEXT CHECK (length(entity_type) <= 50),
    entity_id TEXT,
    old_values TEXT CHECK (json_valid(old_values)),
    new_values TEXT CHECK (json_valid(new_values)),
    ip_address TEXT CHECK (length(ip_address) BETWEEN 2 AND 49 AND ip_address NOT GLOB '*[^0-9a-f.:/]*'),
    user_agent TEXT,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE TRIGGER trg_audit_trail_append_only BEFORE UPDATE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER trg_audit_trail_append_only_del BEFORE DELETE ON audit_trail
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
-- INSERT OR REPLACE would take the old row away without any trigger for DELETE.
CREATE TRIGGER trg_audit_trail_append_only_ins BEFORE INSERT ON audit_trail WHEN EXISTS (SELECT 1 FROM audit_trail WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;

-- The chain: each row's hash covers the row and the hash before it (crates/store/src/canonical.rs). SQLite has one
-- writer at a time, so no lock is needed and nothing need wait for the commit.
CREATE TABLE audit_chain (
    seq INTEGER NOT NULL PRIMARY KEY CONSTRAINT audit_chain_seq_check CHECK (seq > 0),
    audit_id TEXT NOT NULL UNIQUE,
    previous_sha256 TEXT NOT NULL CHECK (length(previous_sha256) <= 64),
    sha256 TEXT NOT NULL CHECK (length(sha256) <= 64)
) STRICT;
CREATE TRIGGER trg_audit_chain AFTER INSERT ON audit_trail
BEGIN
    INSERT INTO audit_chain (seq, audit_id, previous_sha256, sha256)
    SELECT last.seq + 1, NEW.id, last.sha256,
           as_definer(sha256_hex(last.sha256 || char(10) || audit_canonical(NEW.id, NEW.user_id, NEW.action, NEW.entity_type,
               NEW.entity_id, NEW.old_values, NEW.new_values, NEW.ip_address, NEW.user_agent, NEW.created_at)))
    FROM (SELECT seq, sha256 FROM audit_chain
          UNION ALL SELECT 0, '0000000000000000000000000000000000000000000000000000000000000000'
          ORDER BY seq DESC LIMIT 1) AS last;
END;
CREATE TRIGGER trg_audit_chain_append_only BEFORE UPDATE ON audit_chain
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER trg_audit_chain_append_only_del BEFORE DELETE ON audit_chain
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
CREATE TRIGGER trg_audit_chain_append_only_ins BEFORE INSERT ON audit_chain
WHEN EXISTS (SELECT 1 FROM audit_chain WHERE seq = NEW.seq OR audit_id = NEW.audit_id)
BEGIN SELECT RAISE(ABORT, 'audit_trail is append-only'); END;
