SELECT {columns} FROM runs WHERE task_id = $1 ORDER BY number DESC LIMIT 100
