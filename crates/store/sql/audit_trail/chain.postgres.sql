SELECT c.seq, c.previous_sha256, c.sha256, CASE WHEN a.id IS NOT NULL THEN audit_canonical(a) END
FROM audit_chain c LEFT JOIN audit_trail a ON a.id = c.audit_id WHERE c.seq > $1 ORDER BY c.seq LIMIT $2
