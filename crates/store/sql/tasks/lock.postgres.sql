SELECT {columns} FROM tasks WHERE id = $1 FOR NO KEY UPDATE
