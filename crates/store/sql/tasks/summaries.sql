SELECT {columns} FROM task_summary ORDER BY created_at DESC, id DESC LIMIT $1
