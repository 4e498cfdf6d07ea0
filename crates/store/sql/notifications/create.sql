INSERT INTO notifications (id, user_id, title, message, type, priority, data, channel, scheduled_for, created_at, sent_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10)
