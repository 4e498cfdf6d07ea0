SELECT {columns} FROM file_attachments WHERE storage_path = $1 ORDER BY created_at, id LIMIT 200
