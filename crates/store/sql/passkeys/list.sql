SELECT {columns} FROM passkeys WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2
