SELECT {columns} FROM policies ORDER BY position, id LIMIT 500 FOR NO KEY UPDATE
