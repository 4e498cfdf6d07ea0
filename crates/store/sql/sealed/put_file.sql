UPDATE kept_files SET sealed_key = $2 WHERE storage_path = $1
