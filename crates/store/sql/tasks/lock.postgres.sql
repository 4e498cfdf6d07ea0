SELECT {columns} FROM tasks WHERE id = $1 FOR UPDATE
