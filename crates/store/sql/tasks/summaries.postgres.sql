-- The view counts approvals for each of its rows, so the page is found first (as in list.sql) and handed to it.
SELECT {columns} FROM task_summary
WHERE id = ANY (ARRAY(
    SELECT id FROM (
        SELECT id, created_at FROM (SELECT id, created_at FROM tasks
            WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND (created_at, id) < ($1, $2)
            ORDER BY created_by, created_at DESC, id DESC LIMIT $3) AS made
        UNION
        SELECT id, created_at FROM (SELECT id, created_at FROM tasks
            WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND (created_at, id) < ($1, $2)
            ORDER BY assigned_to, created_at DESC, id DESC LIMIT $3) AS assigned
        UNION
        SELECT id, created_at FROM tasks_of_everybody($1, $2, $3) AS others
    ) AS seen
    ORDER BY created_at DESC, id DESC LIMIT $3
))
ORDER BY created_at DESC, id DESC LIMIT $3
