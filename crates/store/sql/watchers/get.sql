SELECT {columns} FROM watchers WHERE id = $1
