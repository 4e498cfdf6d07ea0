DELETE FROM playbooks WHERE name = $1
