SELECT {columns} FROM notifications WHERE ($1::text IS NULL OR status = $1) AND (scheduled_for IS NULL OR scheduled_for <= now())
ORDER BY created_at DESC, id DESC LIMIT $2
