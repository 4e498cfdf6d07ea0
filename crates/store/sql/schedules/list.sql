SELECT {columns} FROM schedules WHERE is_active ORDER BY name LIMIT 100
