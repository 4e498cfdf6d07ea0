-- With the environment: nobody but Steward may read the one that stands, so it is given whole or not touched.
UPDATE mcp_servers SET command = $2, args = $3, is_active = $4, environment = $5 WHERE id = $1
