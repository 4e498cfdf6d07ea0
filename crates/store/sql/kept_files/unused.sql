SELECT storage_path FROM kept_files k
WHERE NOT EXISTS (SELECT 1 FROM file_attachments a WHERE a.storage_path = k.storage_path) ORDER BY storage_path COLLATE "C" LIMIT $1
