SELECT {columns} FROM tasks WHERE status IN ('completed', 'failed', 'cancelled') AND updated_at >= $1 AND updated_at < $2
ORDER BY updated_at DESC, id DESC LIMIT $3
