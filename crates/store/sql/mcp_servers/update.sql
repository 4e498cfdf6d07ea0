UPDATE mcp_servers SET command = $2, args = $3, is_active = $4 WHERE id = $1
