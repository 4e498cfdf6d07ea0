SELECT {columns} FROM watchers ORDER BY name COLLATE "C", id LIMIT 200
