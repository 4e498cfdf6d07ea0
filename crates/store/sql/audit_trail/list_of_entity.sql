SELECT {columns} FROM (
    SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at,
        (SELECT r.request_id FROM audit_requests r WHERE r.audit_id = a.id) AS request_id
    FROM audit_trail a WHERE a.entity_type = $4 AND a.entity_id = $5 AND (a.created_at, a.id) < ($1, $2)
    ORDER BY a.created_at DESC, a.id DESC LIMIT $3
) AS shown
ORDER BY created_at DESC, id DESC
