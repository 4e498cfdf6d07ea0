SELECT {columns} FROM mcp_servers WHERE name = $1
