SELECT {columns} FROM kept_files WHERE storage_path = ANY($1) ORDER BY storage_path COLLATE "C" FOR UPDATE
