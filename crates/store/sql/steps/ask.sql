UPDATE steps SET state = $2, approval_id = $3, error = $4 WHERE id = $1
