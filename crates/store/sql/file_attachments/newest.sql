-- Whoever may see every task gets one walk along an index; others what they brought, and what hangs on their tasks. What an
-- earlier arm answers too is left out of the next.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns:f} FROM file_attachments f
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND (f.created_at, f.id) < ($1, $2)
        ORDER BY f.created_at DESC, f.id DESC LIMIT $3
    ) AS whole
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:f} FROM file_attachments f
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND f.uploaded_by = ANY(ARRAY[(SELECT current_user_id())]) AND (f.created_at, f.id) < ($1, $2)
        ORDER BY f.uploaded_by, f.created_at DESC, f.id DESC LIMIT $3
    ) AS brought
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:f} FROM tasks t JOIN file_attachments f ON f.task_id = t.id
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND t.created_by = current_user_id() AND (f.uploaded_by = current_user_id()) IS NOT TRUE AND (f.created_at, f.id) < ($1, $2)
        ORDER BY f.created_at DESC, f.id DESC LIMIT $3
    ) AS made
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:f} FROM tasks t JOIN file_attachments f ON f.task_id = t.id
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND t.assigned_to = current_user_id() AND (t.created_by = current_user_id()) IS NOT TRUE AND (f.uploaded_by = current_user_id()) IS NOT TRUE AND (f.created_at, f.id) < ($1, $2)
        ORDER BY f.created_at DESC, f.id DESC LIMIT $3
    ) AS assigned
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
