UPDATE kept_files SET checked_at = now(), trouble = $2::text WHERE storage_path = $1
