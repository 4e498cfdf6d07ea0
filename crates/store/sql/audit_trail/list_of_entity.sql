SELECT {columns} FROM audit_trail WHERE entity_type = $1 AND entity_id = $2
ORDER BY created_at DESC, id DESC LIMIT $3
