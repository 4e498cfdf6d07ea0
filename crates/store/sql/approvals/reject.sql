UPDATE approvals SET status = 'rejected', rejected_by = current_user_id(), rejected_at = now(), notes = $2 WHERE id = $1
