-- Asked only where the chain is broken: it may read all of it.
SELECT c.seq, c.audit_id, c.previous_sha256, c.sha256, a.id, a.user_id, a.action, a.entity_type, a.entity_id,
    a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at
FROM audit_chain c LEFT JOIN main.audit_trail a ON a.id = c.audit_id
WHERE c.previous_sha256 = $1 OR c.sha256 = $2 ORDER BY c.seq LIMIT 10
