SELECT {columns} FROM task_provenance WHERE task_id = $1
