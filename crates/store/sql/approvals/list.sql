-- Whoever may see every approval gets one walk along an index; others what they asked, and what their tasks wait for.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns:a} FROM approvals a
        WHERE (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS whole
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:a} FROM approvals a
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND a.requested_by = ANY(ARRAY[(SELECT current_user_id()::text)]) AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.requested_by, a.created_at DESC, a.id DESC LIMIT $3
    ) AS asked
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:a} FROM tasks t JOIN approvals a ON a.task_id = t.id
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND t.created_by = current_user_id() AND a.requested_by <> current_user_id()::text AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS waited
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
