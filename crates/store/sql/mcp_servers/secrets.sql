SELECT {columns} FROM mcp_servers WHERE is_active ORDER BY name LIMIT 200
