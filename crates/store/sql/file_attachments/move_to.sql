UPDATE file_attachments SET storage_path = $2 WHERE storage_path = $1
