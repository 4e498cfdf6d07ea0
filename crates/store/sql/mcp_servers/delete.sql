DELETE FROM mcp_servers WHERE id = $1
