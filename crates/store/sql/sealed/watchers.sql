SELECT id::text COLLATE "C" AS id, id::text AS binding, config -> 'credentials' AS value FROM watchers
WHERE config -> 'credentials' IS NOT NULL AND id::text COLLATE "C" > $1 AND ($2::text IS NULL OR id::text COLLATE "C" = $2::text) ORDER BY id LIMIT $3
