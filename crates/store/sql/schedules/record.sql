UPDATE schedules SET last_status = $3, last_result = $4, last_duration_ms = $5 WHERE name = $1 AND last_fire_at = $2
