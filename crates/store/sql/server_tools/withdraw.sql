UPDATE server_tools SET is_offered = false WHERE server_id = $1 AND name = $2
