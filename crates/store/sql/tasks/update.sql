UPDATE tasks SET title = $2, description = $3, priority = $4, due_date = $5, estimated_duration = $6, actual_duration = $7,
    metadata = $8, dependencies = $9, tags = $10 WHERE id = $1
