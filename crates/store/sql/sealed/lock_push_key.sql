SELECT 'key' AS id FROM push_keys WHERE 'key' = $1::text FOR UPDATE
