SELECT id, action_type AS label FROM approvals WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT $3
