-- How many of the actor's own are due and unread, counted no further than $1.
SELECT count(*) FROM (
    SELECT id FROM notifications
    WHERE user_id = current_user_id() AND status = 'unread' AND channel = 'web' AND (scheduled_for IS NULL OR scheduled_for <= now())
    LIMIT $1
) AS own
