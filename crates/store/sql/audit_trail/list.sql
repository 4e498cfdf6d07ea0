-- Whoever may see the whole trail gets one walk along an index; others what they did, and what was done to tasks they see.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns:a} FROM audit_trail a
        WHERE (is_service() OR has_permission(current_user_id(), 'audit_view_all'))
          AND ($4::text IS NULL OR a.entity_type = $4) AND ($5::uuid IS NULL OR a.entity_id = $5)
          AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS whole
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:a} FROM audit_trail a
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND a.user_id = current_user_id()
          AND ($4::text IS NULL OR a.entity_type = $4) AND ($5::uuid IS NULL OR a.entity_id = $5)
          AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS own
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:a} FROM audit_trail a
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND (has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
          AND a.entity_type = 'task' AND (a.user_id = current_user_id()) IS NOT TRUE AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = a.entity_id)
          AND ($4::text IS NULL OR a.entity_type = $4) AND ($5::uuid IS NULL OR a.entity_id = $5)
          AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS others
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns:a} FROM audit_trail a
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND NOT (has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
          AND a.entity_type = 'task' AND (a.user_id = current_user_id()) IS NOT TRUE
          AND a.entity_id IN (SELECT t.id FROM tasks t WHERE t.created_by = current_user_id() UNION SELECT t.id FROM tasks t WHERE t.assigned_to = current_user_id())
          AND ($4::text IS NULL OR a.entity_type = $4) AND ($5::uuid IS NULL OR a.entity_id = $5)
          AND (a.created_at, a.id) < ($1, $2)
        ORDER BY a.created_at DESC, a.id DESC LIMIT $3
    ) AS seen_tasks
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
