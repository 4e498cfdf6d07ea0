UPDATE tasks SET assigned_to = CASE
    WHEN $2 IS NULL OR EXISTS (SELECT 1 FROM main.users u WHERE u.id = $2 AND u.status = 'active') THEN $2
    ELSE violate('tasks_assignee_active') END
WHERE id = $1 AND (
    has_permission(current_user_id(), 'task_assign')
    OR (created_by = current_user_id() AND has_permission(current_user_id(), 'task_assign_own')))
RETURNING ''
