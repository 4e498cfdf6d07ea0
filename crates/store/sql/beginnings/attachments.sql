SELECT id, filename AS label FROM file_attachments WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT $3
