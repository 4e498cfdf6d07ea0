SELECT {columns} FROM users WHERE id = ANY($1)
