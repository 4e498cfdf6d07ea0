-- Rows that no link covers, oldest first, in the form of a link that is none yet.
SELECT 0 AS seq, a.id AS audit_id, '' AS previous_sha256, '' AS sha256, a.id, a.user_id, a.action, a.entity_type, a.entity_id,
    a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at
FROM audit_trail a WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.audit_id = a.id) ORDER BY a.created_at, a.id LIMIT $1
