UPDATE task_queue SET state = 'leased', worker = $1, attempt = attempt + 1, lease_until = from_now($2)
WHERE task_id = (
    SELECT c.task_id FROM task_queue c
    WHERE c.assignee = current_user_id() AND c.state = 'ready' AND c.ready_at <= now()
    ORDER BY c.priority_rank DESC, c.ready_at, c.task_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {columns}
