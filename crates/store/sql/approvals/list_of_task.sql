SELECT {columns} FROM approvals
WHERE task_id = $4 AND ($5::text IS NULL OR status = $5) AND (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC LIMIT $3
