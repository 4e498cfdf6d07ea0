SELECT {columns} FROM watchers ORDER BY name, id LIMIT 200
