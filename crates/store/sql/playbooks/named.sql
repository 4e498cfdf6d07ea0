SELECT {columns} FROM playbooks WHERE name = $1
