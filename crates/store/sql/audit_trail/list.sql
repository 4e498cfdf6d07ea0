-- Whoever may see the whole trail gets one walk along an index; others what they did, and what was done to tasks they see.
SELECT {columns} FROM (
    SELECT seen.*, (SELECT r.request_id FROM audit_requests r WHERE r.audit_id = seen.id) AS request_id FROM (
        SELECT id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at FROM (
            SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at FROM audit_trail a
            WHERE (is_service() OR has_permission(current_user_id(), 'audit_view_all'))
              AND CASE WHEN $4::text IS NULL THEN true ELSE a.entity_type = $4 END AND CASE WHEN $5::uuid IS NULL THEN true ELSE a.entity_id = $5 END
              AND CASE WHEN $6::uuid IS NULL THEN true ELSE a.user_id = $6 END AND CASE WHEN $7::text IS NULL THEN true ELSE a.action = $7 END AND a.created_at >= $8 AND a.created_at <= $1
              AND (a.created_at, a.id) < ($1, $2)
            ORDER BY a.created_at DESC, a.id DESC LIMIT $3
        ) AS whole
        UNION ALL
        SELECT id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at FROM (
            SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at FROM audit_trail a
            WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND a.user_id = current_user_id()
              AND CASE WHEN $4::text IS NULL THEN true ELSE a.entity_type = $4 END AND CASE WHEN $5::uuid IS NULL THEN true ELSE a.entity_id = $5 END
              AND CASE WHEN $6::uuid IS NULL THEN true ELSE a.user_id = $6 END AND CASE WHEN $7::text IS NULL THEN true ELSE a.action = $7 END AND a.created_at >= $8 AND a.created_at <= $1
              AND (a.created_at, a.id) < ($1, $2)
            ORDER BY a.created_at DESC, a.id DESC LIMIT $3
        ) AS own
        UNION ALL
        SELECT id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at FROM (
            SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at FROM audit_trail a
            WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND (has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
              AND a.entity_type = 'task' AND (a.user_id = current_user_id()) IS NOT TRUE AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = a.entity_id)
              AND CASE WHEN $4::text IS NULL THEN true ELSE a.entity_type = $4 END AND CASE WHEN $5::uuid IS NULL THEN true ELSE a.entity_id = $5 END
              AND CASE WHEN $6::uuid IS NULL THEN true ELSE a.user_id = $6 END AND CASE WHEN $7::text IS NULL THEN true ELSE a.action = $7 END AND a.created_at >= $8 AND a.created_at <= $1
              AND (a.created_at, a.id) < ($1, $2)
            ORDER BY a.created_at DESC, a.id DESC LIMIT $3
        ) AS others
        UNION ALL
        SELECT id, user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at FROM (
            SELECT a.id, a.user_id, a.action, a.entity_type, a.entity_id, a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at FROM audit_trail a
            WHERE NOT (is_service() OR has_permission(current_user_id(), 'audit_view_all')) AND NOT (has_permission(current_user_id(), 'task_view_all') OR has_permission(current_user_id(), 'task_admin'))
              AND a.entity_type = 'task' AND (a.user_id = current_user_id()) IS NOT TRUE
              AND a.entity_id IN (SELECT t.id FROM tasks t WHERE t.created_by = current_user_id() UNION SELECT t.id FROM tasks t WHERE t.assigned_to = current_user_id())
              AND CASE WHEN $4::text IS NULL THEN true ELSE a.entity_type = $4 END AND CASE WHEN $5::uuid IS NULL THEN true ELSE a.entity_id = $5 END
              AND CASE WHEN $6::uuid IS NULL THEN true ELSE a.user_id = $6 END AND CASE WHEN $7::text IS NULL THEN true ELSE a.action = $7 END AND a.created_at >= $8 AND a.created_at <= $1
              AND (a.created_at, a.id) < ($1, $2)
            ORDER BY a.created_at DESC, a.id DESC LIMIT $3
        ) AS seen_tasks
    ) AS seen
    ORDER BY created_at DESC, id DESC LIMIT $3
) AS shown
ORDER BY created_at DESC, id DESC
