UPDATE push_keys SET secret = $2 WHERE 'key' = $1::text
