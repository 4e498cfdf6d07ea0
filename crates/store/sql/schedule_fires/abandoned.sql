SELECT {columns} FROM schedule_fires WHERE state = 'started' AND lease_until <= now() ORDER BY fire_at, name COLLATE "C" LIMIT 100
