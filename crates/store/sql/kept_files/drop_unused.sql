DELETE FROM kept_files AS k WHERE k.storage_path = ANY($1)
AND NOT EXISTS (SELECT 1 FROM file_attachments a WHERE a.storage_path = k.storage_path)
RETURNING storage_path
