-- The walks of list_status, with what else is asked for tested on the way.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND (created_at, id) < ($1, $2)
          AND status = $4 AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY created_by, created_at DESC, id DESC LIMIT $3
    ) AS made
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND (created_at, id) < ($1, $2)
          AND status = $4 AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY assigned_to, created_at DESC, id DESC LIMIT $3
    ) AS assigned
    WHERE (created_by = current_user_id()) IS NOT TRUE
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND (created_at, id) < ($1, $2)
          AND status = $4 AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS others
    WHERE (created_by = current_user_id() OR assigned_to = current_user_id()) IS NOT TRUE
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
