UPDATE mcp_servers SET status = $2, capabilities = COALESCE($3, capabilities), last_heartbeat = COALESCE($4, last_heartbeat) WHERE id = $1
