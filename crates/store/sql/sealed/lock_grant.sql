SELECT server_id::text AS id FROM server_grants WHERE server_id::text = $1 FOR UPDATE
