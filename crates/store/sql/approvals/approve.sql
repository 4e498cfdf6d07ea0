UPDATE approvals SET status = 'approved', approved_by = current_user_id(), approved_at = now(), notes = $2 WHERE id = $1
