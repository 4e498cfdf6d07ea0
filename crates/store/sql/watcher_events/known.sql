SELECT EXISTS (SELECT 1 FROM watcher_events WHERE watcher_id = $1 AND source = $2 AND fingerprint = $3)
