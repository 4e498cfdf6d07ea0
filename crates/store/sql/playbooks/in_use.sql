SELECT {columns} FROM playbooks WHERE is_on ORDER BY name COLLATE "C" LIMIT 200
