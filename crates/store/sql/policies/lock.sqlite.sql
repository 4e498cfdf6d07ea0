-- There is one writer, so nothing is locked; but as on PostgreSQL only rows that the actor may change are answered.
SELECT {columns} FROM policies WHERE has_permission(current_user_id(), 'policy_admin')
ORDER BY position, id LIMIT 10000
