SELECT {columns} FROM file_attachments WHERE id > $1 ORDER BY id LIMIT $2
