SELECT 'key' AS id, '' AS binding, secret AS value FROM push_keys
WHERE 'key' > $1::text AND ($2::text IS NULL OR 'key' = $2::text) ORDER BY id LIMIT $3
