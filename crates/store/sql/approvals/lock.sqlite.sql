-- There is one writer, so nothing is locked; but as on PostgreSQL only a row that the actor may change is answered.
SELECT {columns} FROM approvals WHERE id = $1 AND (is_service() OR (status = 'pending' AND (
    has_permission(current_user_id(), 'approval_decide')
    OR (has_permission(current_user_id(), 'approval_decide_own')
        AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.created_by = current_user_id())))))
