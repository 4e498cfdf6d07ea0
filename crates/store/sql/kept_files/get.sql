SELECT {columns} FROM kept_files WHERE storage_path = $1
