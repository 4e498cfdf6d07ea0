SELECT {columns} FROM memories ORDER BY created_at DESC, id DESC LIMIT $1
