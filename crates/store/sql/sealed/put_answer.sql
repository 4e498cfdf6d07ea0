UPDATE idempotency_keys SET answer = $2 WHERE (user_id::text || ':' || key) = $1
