-- How many open approvals the actor may see, counted no further than $1: the walks of list_status.
SELECT count(*) FROM (
    SELECT id FROM (
        SELECT a.id FROM approvals a
        WHERE (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND a.status = 'pending'
          AND (a.expires_at IS NULL OR a.expires_at > now())
        LIMIT $1
    ) AS whole
    UNION ALL
    SELECT id FROM (
        SELECT a.id FROM approvals a
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND a.requested_by = current_user_id()::text
          AND a.status = 'pending' AND (a.expires_at IS NULL OR a.expires_at > now())
        LIMIT $1
    ) AS asked
    UNION ALL
    SELECT id FROM (
        SELECT a.id FROM tasks t JOIN approvals a ON a.task_id = t.id
        WHERE NOT (is_service() OR has_permission(current_user_id(), 'approval_view_all')) AND t.created_by = current_user_id() AND a.requested_by <> current_user_id()::text
          AND a.status = 'pending' AND (a.expires_at IS NULL OR a.expires_at > now())
        LIMIT $1
    ) AS waited
    LIMIT $1
) AS seen
