SELECT {columns} FROM audit_trail WHERE entity_type = $4 AND entity_id = $5 AND (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC LIMIT $3
