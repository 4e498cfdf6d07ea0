INSERT INTO watcher_cursors (watcher_id, cursor, updated_at) VALUES ($1, $2, now())
ON CONFLICT (watcher_id) DO UPDATE SET cursor = EXCLUDED.cursor, updated_at = EXCLUDED.updated_at
