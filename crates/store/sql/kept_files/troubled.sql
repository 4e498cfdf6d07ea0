SELECT {columns} FROM kept_files WHERE trouble IS NOT NULL ORDER BY storage_path COLLATE "C" LIMIT $1
