SELECT {columns} FROM file_attachments WHERE task_id = $1 ORDER BY created_at, id LIMIT 200
