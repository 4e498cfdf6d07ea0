SELECT server_id::text COLLATE "C" AS id, server_id::text AS binding, secret AS value FROM server_grants
WHERE server_id::text COLLATE "C" > $1 AND ($2::text IS NULL OR server_id::text COLLATE "C" = $2::text) ORDER BY id LIMIT $3
