UPDATE watchers SET name = $2, config = $3, is_active = $4 WHERE id = $1
