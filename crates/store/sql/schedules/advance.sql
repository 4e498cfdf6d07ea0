UPDATE schedules SET last_fire_at = $2, next_fire_at = COALESCE($3::timestamptz, next_fire_at), last_status = 'running', last_was_missed = $4
WHERE name = $1
