UPDATE mcp_servers SET environment = $2 WHERE id::text = $1
