SELECT (user_id::text || ':' || key) AS id FROM idempotency_keys WHERE (user_id::text || ':' || key) = $1 FOR UPDATE
