SELECT {columns} FROM memories WHERE id = $1
