-- One's own by an index that begins with whose they are: what others have costs nothing. Everybody's for those who may see them.
SELECT id, label FROM (
    SELECT id, label FROM (
        SELECT id, title AS label FROM tasks
        WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND id >= $1 AND id <= $2
        ORDER BY id LIMIT $3
    ) AS made
    UNION
    SELECT id, label FROM (
        SELECT id, title AS label FROM tasks
        WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND id >= $1 AND id <= $2
        ORDER BY id LIMIT $3
    ) AS assigned
    UNION
    SELECT id, label FROM (
        SELECT id, title AS label FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
            AND id >= $1 AND id <= $2
        ORDER BY id LIMIT $3
    ) AS others
) AS seen
ORDER BY id LIMIT $3
