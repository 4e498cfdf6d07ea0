SELECT id::text COLLATE "C" AS id, name AS binding, environment AS value FROM mcp_servers
WHERE environment IS NOT NULL AND id::text COLLATE "C" > $1 AND ($2::text IS NULL OR id::text COLLATE "C" = $2::text) ORDER BY id LIMIT $3
