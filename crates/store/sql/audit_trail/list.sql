SELECT {columns} FROM audit_trail WHERE ($1::text IS NULL OR entity_type = $1) AND ($2::uuid IS NULL OR entity_id = $2)
ORDER BY created_at DESC, id DESC LIMIT $3
