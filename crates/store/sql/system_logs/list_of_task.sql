-- The task leads the order: so only the index that begins with it can serve, and not a walk through everybody's lines by time.
SELECT {columns} FROM system_logs WHERE task_id = ANY(ARRAY[$3::uuid]) AND ($1::text IS NULL OR level = $1) AND ($2::text IS NULL OR module = $2)
  ORDER BY task_id, timestamp DESC, id DESC LIMIT $4
