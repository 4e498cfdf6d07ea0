SELECT {columns} FROM mcp_servers WHERE is_active ORDER BY name COLLATE "C" LIMIT 200
