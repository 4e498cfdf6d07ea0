-- Tasks that are due at all, the earliest first: the walks of due, with what is asked for tested on the way.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND (due_date, id) > ($1, $2)
          AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY created_by, due_date, id LIMIT $3
    ) AS made
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND (due_date, id) > ($1, $2)
          AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY assigned_to, due_date, id LIMIT $3
    ) AS assigned
    WHERE (created_by = current_user_id()) IS NOT TRUE
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE (is_service() OR has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin')) AND (due_date, id) > ($1, $2)
          AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($7::uuid IS NULL OR created_by = $7)
          AND ($8::text IS NULL OR $8 = ANY(tags)) AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
        ORDER BY due_date, id LIMIT $3
    ) AS others
    WHERE (created_by = current_user_id() OR assigned_to = current_user_id()) IS NOT TRUE
) AS seen
ORDER BY due_date, id LIMIT $3
