SELECT {columns} FROM policies WHERE (position, id) > ($1, $2) ORDER BY position, id LIMIT $3
