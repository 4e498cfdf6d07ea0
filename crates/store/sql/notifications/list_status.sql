-- One's own; Steward itself sees everybody's.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM notifications
        WHERE user_id = current_user_id() AND status = $4 AND channel = 'web' AND (scheduled_for IS NULL OR scheduled_for <= now())
          AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS own
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM notifications
        WHERE is_service() AND status = $4 AND channel = 'web' AND (scheduled_for IS NULL OR scheduled_for <= now())
          AND (created_at, id) < ($1, $2)
        ORDER BY created_at DESC, id DESC LIMIT $3
    ) AS whole
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
