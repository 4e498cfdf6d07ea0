SELECT {columns} FROM log_partitions() ORDER BY name COLLATE "C"
