SELECT {columns} FROM contacts ORDER BY address LIMIT 10000
