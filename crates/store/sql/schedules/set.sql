UPDATE schedules SET cron = COALESCE($2::text, cron), time_zone = COALESCE($3::text, time_zone), is_active = COALESCE($4::boolean, is_active),
    run_by = CASE WHEN $4::boolean IS NULL THEN run_by ELSE 'steward' END, next_fire_at = $5
WHERE name = $1
