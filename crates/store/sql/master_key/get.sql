SELECT {columns} FROM master_key
