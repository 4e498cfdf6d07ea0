SELECT {columns} FROM calls_made($1)
