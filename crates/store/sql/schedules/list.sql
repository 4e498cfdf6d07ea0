SELECT {columns} FROM schedules ORDER BY name COLLATE "C" LIMIT 100
