SELECT {columns} FROM model_turns WHERE run_id = $1 ORDER BY ordinal LIMIT 1000
