UPDATE tasks SET status = $2, due_date = $3, metadata = $4 WHERE id = $1
