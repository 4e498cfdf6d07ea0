UPDATE schedules SET next_fire_at = $2 WHERE name = $1 AND next_fire_at IS NULL
