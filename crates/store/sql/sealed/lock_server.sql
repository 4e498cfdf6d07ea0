SELECT id::text AS id FROM mcp_servers WHERE id::text = $1 FOR UPDATE
