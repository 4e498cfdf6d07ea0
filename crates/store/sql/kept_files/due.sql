SELECT {columns} FROM kept_files WHERE checked_at < $1 ORDER BY checked_at, storage_path LIMIT $2
