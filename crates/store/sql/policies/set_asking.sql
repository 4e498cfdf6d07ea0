UPDATE policies SET approvers = $2, never_repeat = $3, remind_minutes = $4, escalate_minutes = $5, escalate_to = $6 WHERE id = $1
