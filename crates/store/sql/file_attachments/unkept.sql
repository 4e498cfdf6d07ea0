SELECT {columns} FROM file_attachments WHERE NOT EXISTS (SELECT 1 FROM kept_files k WHERE k.storage_path = file_attachments.storage_path)
ORDER BY id LIMIT $1
