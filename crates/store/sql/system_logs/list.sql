SELECT {columns} FROM system_logs WHERE ($1::text IS NULL OR level = $1) AND ($2::text IS NULL OR module = $2)
  AND ($3::uuid IS NULL OR task_id = $3) ORDER BY timestamp DESC, id DESC LIMIT $4
