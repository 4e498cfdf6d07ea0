UPDATE schedules SET last_fire_at = $2, next_fire_at = $3, last_result = $4 WHERE name = $1
