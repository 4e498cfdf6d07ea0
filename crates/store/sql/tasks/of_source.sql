-- What came from a source since a moment, the oldest first.
SELECT {columns:t} FROM tasks t JOIN task_provenance p ON p.task_id = t.id
WHERE p.source = $1 AND t.created_at > $2 ORDER BY t.created_at, t.id LIMIT 200
