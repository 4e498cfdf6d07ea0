SELECT {columns} FROM server_grants WHERE server_id = $1
