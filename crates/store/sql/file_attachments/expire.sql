-- Only Steward lets files go by their time: others may not look at kept_files, and so run none of this.
DELETE FROM file_attachments WHERE id IN (SELECT e.id FROM file_attachments e LEFT JOIN kept_files k ON k.storage_path = e.storage_path
    WHERE e.expires_at <= now() ORDER BY e.expires_at, e.id LIMIT $1)
RETURNING storage_path
