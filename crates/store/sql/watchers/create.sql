INSERT INTO watchers (id, name, watcher_type, config, created_by, created_at, updated_at)
VALUES ($1, $2, $3, $4, current_user_id(), now(), now())
