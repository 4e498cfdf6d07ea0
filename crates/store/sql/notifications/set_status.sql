UPDATE notifications SET status = $2::text, read_at = CASE WHEN $2 = 'unread' THEN NULL ELSE COALESCE(read_at, now()) END WHERE id = $1
