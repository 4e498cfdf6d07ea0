SELECT {columns} FROM playbooks ORDER BY name COLLATE "C" LIMIT 200
