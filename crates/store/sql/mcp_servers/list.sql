SELECT {columns} FROM mcp_servers ORDER BY name COLLATE "C" LIMIT 200
