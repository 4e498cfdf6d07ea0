SELECT c.seq, c.previous_sha256, c.sha256, CASE WHEN a.id IS NOT NULL THEN json_array(a.id, a.user_id, a.action, a.entity_type, a.entity_id,
    json(a.old_values), json(a.new_values), a.ip_address, a.user_agent, a.created_at) END
FROM audit_chain c LEFT JOIN audit_trail a ON a.id = c.audit_id WHERE c.seq > $1 ORDER BY c.seq LIMIT $2
