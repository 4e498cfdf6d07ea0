-- The view counts approvals for each of its rows, so the page is found first (as in list.sql) and handed to it.
SELECT {columns} FROM task_summary
WHERE id IN (
    SELECT id FROM (
        SELECT id, created_at FROM (SELECT id, created_at FROM tasks
            WHERE created_by = current_user_id() AND (created_at, id) < ($1, $2)
            ORDER BY created_at DESC, id DESC LIMIT $3) AS made
        UNION
        SELECT id, created_at FROM (SELECT id, created_at FROM tasks
            WHERE assigned_to = current_user_id() AND (created_at, id) < ($1, $2)
            ORDER BY created_at DESC, id DESC LIMIT $3) AS assigned
        UNION
        SELECT id, created_at FROM (SELECT id, created_at FROM tasks
            WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
              AND (created_at, id) < ($1, $2)
            ORDER BY created_at DESC, id DESC LIMIT $3) AS others
    ) AS seen
    ORDER BY created_at DESC, id DESC LIMIT $3
)
ORDER BY created_at DESC, id DESC LIMIT $3
