UPDATE server_grants SET secret = $2 WHERE server_id::text = $1
