SELECT {columns} FROM accounts WHERE ($1 IS NULL OR username > $1) ORDER BY username LIMIT $2
