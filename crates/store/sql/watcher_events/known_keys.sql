SELECT event_key, task_id FROM watcher_events WHERE watcher_id = $1 AND event_key = ANY($2)
