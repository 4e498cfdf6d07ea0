SELECT c.seq, c.previous_sha256, c.sha256, audit_canonical(a) FROM audit_chain c LEFT JOIN audit_trail a ON a.id = c.audit_id
WHERE c.seq > $1 ORDER BY c.seq LIMIT $2
