SELECT id::text COLLATE "C" AS id, user_id::text AS binding, secret AS value FROM push_subscriptions
WHERE id::text COLLATE "C" > $1 AND ($2::text IS NULL OR id::text COLLATE "C" = $2::text) ORDER BY id LIMIT $3
