SELECT {columns} FROM approvals
WHERE ($1::text IS NULL OR status = $1) AND ($2::uuid IS NULL OR task_id = $2)
  AND ($3::timestamptz IS NULL OR created_at < $3 OR (created_at = $3 AND id < $4))
ORDER BY created_at DESC, id DESC LIMIT $5
