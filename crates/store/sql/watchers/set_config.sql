UPDATE watchers SET config = $2 WHERE id = $1
