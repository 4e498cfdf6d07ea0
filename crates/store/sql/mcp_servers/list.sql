SELECT {columns} FROM mcp_servers ORDER BY name LIMIT 200
