SELECT {columns} FROM users WHERE id = $1
