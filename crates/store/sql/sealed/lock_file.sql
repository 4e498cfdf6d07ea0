SELECT storage_path AS id FROM kept_files WHERE storage_path = $1 FOR UPDATE
