SELECT {columns} FROM handbook ORDER BY version DESC LIMIT 1
