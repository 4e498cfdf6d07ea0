SELECT {columns} FROM steps WHERE run_id = $1 ORDER BY ordinal LIMIT 1000
