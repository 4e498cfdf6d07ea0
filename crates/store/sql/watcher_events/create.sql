INSERT INTO watcher_events (watcher_id, event_key, task_id, source, fingerprint, created_at)
VALUES ($1, $2, $3, $4, $5, now()) ON CONFLICT (watcher_id, event_key) DO NOTHING
