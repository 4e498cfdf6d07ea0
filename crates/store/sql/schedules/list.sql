SELECT {columns} FROM schedules WHERE is_active ORDER BY name COLLATE "C" LIMIT 100
