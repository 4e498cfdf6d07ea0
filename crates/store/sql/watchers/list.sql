SELECT {columns} FROM watchers WHERE (name COLLATE "C", id) > ($1::text COLLATE "C", $2)
ORDER BY name COLLATE "C", id LIMIT $3
