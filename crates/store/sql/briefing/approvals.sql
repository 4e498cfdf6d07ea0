SELECT {columns} FROM approvals WHERE expires_at >= $1 AND created_at < $2
ORDER BY CASE WHEN status = 'pending' THEN 0 ELSE 1 END, created_at DESC, id DESC LIMIT $3
