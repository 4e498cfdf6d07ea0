UPDATE mcp_servers SET is_active = $2 WHERE id = $1
