-- The view daily_activity: lines of the log of the last 30 days that the actor may see, by day and level.
SELECT activity_date::text AS day, level, event_count AS events, coalesce(modules_affected, '') AS modules
FROM daily_activity ORDER BY activity_date, level
