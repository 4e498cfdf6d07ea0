-- The chain's order is the order of commits: what is committed later never stands before what was read.
SELECT shown.seq, shown.audit_id, shown.action, shown.kind, shown.entity_id, shown.created_at, shown.task_id,
    (SELECT t.created_by FROM tasks t WHERE t.id = shown.task_id) AS creator,
    (SELECT t.assigned_to FROM tasks t WHERE t.id = shown.task_id) AS assignee, shown.person
FROM (
    SELECT c.seq, c.audit_id, a.action, a.entity_type AS kind, a.entity_id, a.created_at,
        CASE a.entity_type
            WHEN 'task' THEN a.entity_id
            WHEN 'task_provenance' THEN a.entity_id
            WHEN 'approval' THEN (SELECT p.task_id FROM approvals p WHERE p.id = a.entity_id)
            WHEN 'approval_call' THEN (SELECT p.task_id FROM approvals p WHERE p.id = a.entity_id)
            WHEN 'approval_vote' THEN (SELECT p.task_id FROM approvals p WHERE p.id = a.entity_id)
            WHEN 'approval_edit' THEN (SELECT p.task_id FROM approvals p WHERE p.id = a.entity_id)
            WHEN 'run' THEN (SELECT r.task_id FROM runs r WHERE r.id = a.entity_id)
            WHEN 'step' THEN (SELECT s.task_id FROM steps s WHERE s.id = a.entity_id)
            WHEN 'file_attachment' THEN (SELECT f.task_id FROM file_attachments f WHERE f.id = a.entity_id)
        END AS task_id,
        CASE a.entity_type
            WHEN 'file_attachment' THEN (SELECT f.uploaded_by FROM file_attachments f WHERE f.id = a.entity_id)
            WHEN 'notification' THEN (SELECT n.user_id FROM notifications n WHERE n.id = a.entity_id)
            WHEN 'watcher' THEN (SELECT w.created_by FROM watchers w WHERE w.id = a.entity_id)
            ELSE a.user_id
        END AS person
    FROM audit_chain c JOIN audit_trail a ON a.id = c.audit_id
    WHERE c.seq > $1 ORDER BY c.seq LIMIT 500) shown
ORDER BY shown.seq
