-- What came from a source since a moment, the oldest first. A task's provenance is written with it.
SELECT {columns:t} FROM task_provenance p JOIN tasks t ON t.id = p.task_id
WHERE p.source = ANY(ARRAY[$1::text]) AND p.created_at > $2 AND t.created_at > $2
ORDER BY p.source, p.created_at, p.task_id LIMIT 200
