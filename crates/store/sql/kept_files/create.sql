INSERT INTO kept_files (storage_path, content_sha256, size_bytes, sealed_key, trouble, created_at, checked_at)
VALUES ($1, $2, $3, $4, $5::text, now(), now())
