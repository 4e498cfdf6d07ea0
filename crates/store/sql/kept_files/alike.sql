SELECT {columns} FROM kept_files WHERE content_sha256 = $1 AND trouble IS NULL ORDER BY created_at, storage_path LIMIT 10
