SELECT {columns} FROM api_tokens
WHERE user_id = $1 AND (revoked_at IS NULL AND expires_at > now() OR $2)
ORDER BY created_at DESC, id DESC LIMIT $3
