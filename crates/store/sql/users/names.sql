SELECT {columns} FROM users WHERE id = ANY($1) ORDER BY username COLLATE "C"
