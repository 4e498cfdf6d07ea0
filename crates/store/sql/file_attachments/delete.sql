DELETE FROM file_attachments WHERE id = $1
