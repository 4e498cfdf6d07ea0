SELECT {columns} FROM accounts WHERE ($1::text IS NULL OR username COLLATE "C" > $1) ORDER BY username COLLATE "C" LIMIT $2
