SELECT {columns:t} FROM server_tools t JOIN mcp_servers s ON s.id = t.server_id WHERE s.name = $1 AND t.name = $2
