SELECT {columns} FROM task_queue WHERE task_id = $1
