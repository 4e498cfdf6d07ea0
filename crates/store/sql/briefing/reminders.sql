SELECT {columns} FROM notifications
WHERE user_id = current_user_id() AND channel = 'web' AND sent_at IS NULL AND scheduled_for >= $1 AND scheduled_for < $2
ORDER BY scheduled_for, id LIMIT $3
