-- Own tasks, made and assigned, and everybody's for those who may see them: three walks along an index in the order of
-- the page, merged. What an earlier walk answers too is left out after the limit, so that no walk is longer than a page.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = current_user_id() AND status = $4 AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS made
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = current_user_id() AND status = $4 AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS assigned
    WHERE (created_by = current_user_id()) IS NOT TRUE
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND status = $4 AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS others
    WHERE (created_by = current_user_id() OR assigned_to = current_user_id()) IS NOT TRUE
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
