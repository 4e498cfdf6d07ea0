SELECT {columns} FROM users WHERE lower(username) = lower($1) OR lower(email) = lower($1)
