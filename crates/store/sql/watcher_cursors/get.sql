SELECT cursor FROM watcher_cursors WHERE watcher_id = $1
