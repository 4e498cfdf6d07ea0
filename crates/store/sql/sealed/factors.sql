SELECT user_id::text COLLATE "C" AS id, user_id::text AS binding, secret AS value FROM second_factors
WHERE secret IS NOT NULL AND user_id::text COLLATE "C" > $1 AND ($2::text IS NULL OR user_id::text COLLATE "C" = $2::text) ORDER BY id LIMIT $3
