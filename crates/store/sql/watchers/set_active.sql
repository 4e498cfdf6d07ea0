UPDATE watchers SET is_active = $2 WHERE id = $1
