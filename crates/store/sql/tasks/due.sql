-- Tasks the actor may see that are due in a time: the three walks of list, along the day they are due.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = current_user_id() AND due_date >= $1 AND due_date < $2
        ORDER BY due_date, id LIMIT $3
    ) AS made
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = current_user_id() AND due_date >= $1 AND due_date < $2
        ORDER BY due_date, id LIMIT $3
    ) AS assigned
    WHERE (created_by = current_user_id()) IS NOT TRUE
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND due_date >= $1 AND due_date < $2
        ORDER BY due_date, id LIMIT $3
    ) AS others
    WHERE (created_by = current_user_id() OR assigned_to = current_user_id()) IS NOT TRUE
) AS seen
ORDER BY due_date, id LIMIT $3
