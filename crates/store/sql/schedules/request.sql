UPDATE schedules SET requested_at = now() WHERE name = $1
