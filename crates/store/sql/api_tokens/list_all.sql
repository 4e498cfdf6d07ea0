SELECT {columns} FROM api_tokens
WHERE revoked_at IS NULL AND expires_at > now() OR $1
ORDER BY created_at DESC, id DESC LIMIT $2
