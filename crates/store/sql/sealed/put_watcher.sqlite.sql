UPDATE watchers SET config = json_set(config, '$.credentials', json($2)) WHERE id = $1
