SELECT {columns} FROM users WHERE lower(username) = lower($1)
