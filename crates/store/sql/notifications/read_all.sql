-- The actor's own that are due, a thousand at once.
UPDATE notifications SET status = 'read', read_at = COALESCE(read_at, now()) WHERE id IN (
    SELECT id FROM notifications
    WHERE user_id = current_user_id() AND status = 'unread' AND channel = 'web' AND (scheduled_for IS NULL OR scheduled_for <= now())
    LIMIT 1000
)
