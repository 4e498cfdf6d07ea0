-- Who sees the chain sees the whole trail, so the table is read without asking again for each row.
SELECT c.seq, c.audit_id, c.previous_sha256, c.sha256, a.id, a.user_id, a.action, a.entity_type, a.entity_id,
    a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at
FROM audit_chain c LEFT JOIN main.audit_trail a ON a.id = c.audit_id
WHERE c.seq > $1 ORDER BY c.seq LIMIT $2
