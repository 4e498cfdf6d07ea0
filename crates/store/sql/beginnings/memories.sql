SELECT id, substr(content, 1, 60) AS label FROM memories WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT $3
