UPDATE steps SET state = $2, result = $3, error = $4, finished_at = now() WHERE id = $1 AND finished_at IS NULL
