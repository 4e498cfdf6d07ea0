DELETE FROM file_attachments WHERE id IN (SELECT e.id FROM file_attachments e WHERE e.expires_at <= now() ORDER BY e.expires_at, e.id LIMIT $1)
RETURNING storage_path
