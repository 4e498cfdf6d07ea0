SELECT (user_id::text || ':' || key) COLLATE "C" AS id, user_id::text || ':' || key AS binding, answer AS value FROM idempotency_keys
WHERE answer IS NOT NULL AND (user_id::text || ':' || key) COLLATE "C" > $1 AND ($2::text IS NULL OR (user_id::text || ':' || key) COLLATE "C" = $2::text) ORDER BY id LIMIT $3
