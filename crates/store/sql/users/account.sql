SELECT {columns} FROM accounts WHERE id = $1
