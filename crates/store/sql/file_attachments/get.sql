SELECT {columns} FROM file_attachments WHERE id = $1
