DELETE FROM schedule_fires WHERE name = $1 AND state <> 'started'
  AND fire_at < (SELECT min(k.fire_at) FROM (SELECT f.fire_at FROM schedule_fires f WHERE f.name = $1 ORDER BY f.fire_at DESC LIMIT 100) k)
