SELECT {columns} FROM users u WHERE role = 'admin' AND status = 'active' AND (SELECT has_permission(current_user_id(), 'user_admin'))
  AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) ORDER BY id LIMIT 100 FOR UPDATE OF u
