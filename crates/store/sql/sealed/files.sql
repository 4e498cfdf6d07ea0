SELECT storage_path COLLATE "C" AS id, storage_path AS binding, sealed_key AS value FROM kept_files
WHERE sealed_key IS NOT NULL AND storage_path COLLATE "C" > $1 AND ($2::text IS NULL OR storage_path COLLATE "C" = $2::text) ORDER BY id LIMIT $3
