UPDATE policies SET position = $2, name = $3, server = $4, tool = $5, condition = $6, outside = $7, effect = $8,
    approval_ttl_minutes = $9, is_active = $10 WHERE id = $1
