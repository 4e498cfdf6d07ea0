-- There is one writer, so nothing is locked; but as on PostgreSQL only a row that the actor may change is answered.
SELECT {columns} FROM tasks WHERE id = $1 AND has_permission(current_user_id(), 'task_create')
  AND (created_by = current_user_id() OR assigned_to = current_user_id() OR has_permission(current_user_id(), 'task_admin'))
