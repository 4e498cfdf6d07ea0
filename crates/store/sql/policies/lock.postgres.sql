SELECT {columns} FROM policies ORDER BY position, id LIMIT 10000 FOR NO KEY UPDATE
