-- The same of one task: its lines are found by the task, and no others are gone through.
SELECT {columns} FROM system_logs
WHERE task_id = ANY(ARRAY[$3::uuid]) AND level = ANY($1) AND ($2::text IS NULL OR module = $2) AND ($4::uuid IS NULL OR user_id = $4)
  AND timestamp >= $5 AND timestamp < $6 AND (timestamp, id) < ($7, $8)
ORDER BY task_id, timestamp DESC, id DESC LIMIT $9
