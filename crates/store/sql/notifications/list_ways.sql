-- One's own copies that went or go out by other ways than the web.
SELECT {columns} FROM notifications WHERE user_id = current_user_id() AND channel <> 'web' ORDER BY created_at DESC, id DESC LIMIT $1
