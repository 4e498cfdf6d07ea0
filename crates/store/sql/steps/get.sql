SELECT {columns} FROM steps WHERE id = $1
