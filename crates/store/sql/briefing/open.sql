-- What is open: one's own, made and assigned, and everybody's for those who may see them, each by an index that begins with
-- whose it is, or with how it stands.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND status IN ('pending', 'in_progress')
        ORDER BY created_by, created_at, id LIMIT $1
    ) AS made
    UNION
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND status IN ('pending', 'in_progress')
        ORDER BY assigned_to, created_at, id LIMIT $1
    ) AS assigned
    UNION
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND status IN ('pending', 'in_progress')
        ORDER BY created_at, id LIMIT $1
    ) AS others
) AS seen
ORDER BY created_at, id LIMIT $1
