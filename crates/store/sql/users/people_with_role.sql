SELECT {columns} FROM users u WHERE role = $1 AND status = 'active'
  AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) ORDER BY username COLLATE "C" LIMIT 10
