-- The key is worked out before a row is looked for: so a refusal is an error, as it is of the function on PostgreSQL.
UPDATE tasks SET assigned_to = CASE
    WHEN $2 IS NULL OR EXISTS (SELECT 1 FROM main.users u WHERE u.id = $2 AND u.status = 'active') THEN $2
    ELSE violate('tasks_assignee_active') END
WHERE id = CASE WHEN EXISTS (SELECT 1 FROM main.tasks t WHERE t.id = $1 AND (
    has_permission(current_user_id(), 'task_assign')
    OR (t.created_by = current_user_id() AND has_permission(current_user_id(), 'task_assign_own')))) THEN $1 ELSE refuse('tasks') END
RETURNING ''
