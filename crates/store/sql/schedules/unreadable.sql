UPDATE schedules SET last_status = 'failed', last_result = $2 WHERE name = $1 AND last_result IS DISTINCT FROM $2
