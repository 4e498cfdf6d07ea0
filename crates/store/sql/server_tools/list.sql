SELECT {columns} FROM server_tools WHERE server_id = $1 ORDER BY name COLLATE "C" LIMIT 1000
