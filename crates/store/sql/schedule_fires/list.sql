SELECT {columns} FROM schedule_fires WHERE name = $1 ORDER BY fire_at DESC LIMIT $2
