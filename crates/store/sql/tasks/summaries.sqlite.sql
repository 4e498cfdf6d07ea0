-- The view counts approvals for each of its rows, so the page is found first (as in list.sql) and handed to it.
SELECT {columns} FROM task_summary
WHERE id IN (
        SELECT id FROM (SELECT id, created_at FROM tasks WHERE created_by = current_user_id()
            ORDER BY created_at DESC, id DESC LIMIT $1) AS made
        UNION
        SELECT id FROM (SELECT id, created_at FROM tasks WHERE assigned_to = current_user_id()
            ORDER BY created_at DESC, id DESC LIMIT $1) AS assigned
        UNION
        SELECT id FROM (SELECT id, created_at FROM tasks WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
            ORDER BY created_at DESC, id DESC LIMIT $1) AS others
)
ORDER BY created_at DESC, id DESC LIMIT $1
