INSERT INTO file_attachments (id, filename, original_filename, mime_type, file_size, storage_path, uploaded_by, task_id, is_encrypted, hash_checksum, expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6, current_user_id(), $7, $8, $9, $10, now())
