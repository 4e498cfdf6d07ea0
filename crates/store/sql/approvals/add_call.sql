INSERT INTO approval_calls (approval_id, step_id, server, tool, definition_sha256, arguments, arguments_sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now())
