-- What is over: the time to decide, or the task itself.
UPDATE approvals SET status = 'expired'
WHERE status = 'pending' AND (expires_at <= now() OR EXISTS (
    SELECT 1 FROM tasks t WHERE t.id = approvals.task_id AND t.status IN ('completed', 'failed', 'cancelled')))
RETURNING id
