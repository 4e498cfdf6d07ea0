SELECT {columns} FROM server_tools WHERE server_id = $1 ORDER BY name LIMIT 1000
