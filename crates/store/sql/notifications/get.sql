SELECT {columns} FROM notifications WHERE id = $1
