SELECT EXISTS (SELECT 1 FROM file_attachments WHERE storage_path = $1)
