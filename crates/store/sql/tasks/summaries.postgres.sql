-- The view counts approvals for each of its rows, so the page is found first (as in list.sql) and handed to it.
SELECT {columns} FROM task_summary
WHERE id = ANY (ARRAY(
        SELECT id FROM (SELECT id, created_at FROM tasks WHERE created_by = ANY(ARRAY[(SELECT current_user_id())])
            ORDER BY created_by, created_at DESC, id DESC LIMIT $1) AS made
        UNION
        SELECT id FROM (SELECT id, created_at FROM tasks WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())])
            ORDER BY assigned_to, created_at DESC, id DESC LIMIT $1) AS assigned
        UNION
        SELECT id FROM tasks_of_everybody('infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff', $1) AS others
))
ORDER BY created_at DESC, id DESC LIMIT $1
