SELECT channel COLLATE "C" AS id, channel AS binding, secret AS value FROM notification_channels
WHERE secret IS NOT NULL AND channel COLLATE "C" > $1 AND ($2::text IS NULL OR channel COLLATE "C" = $2::text) ORDER BY id LIMIT $3
