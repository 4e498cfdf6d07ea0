SELECT {columns} FROM users u WHERE status = 'active' AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) ORDER BY id LIMIT 1000
