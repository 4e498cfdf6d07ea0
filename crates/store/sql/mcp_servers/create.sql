INSERT INTO mcp_servers (id, name, server_type, command, args, environment, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, now(), now())
