UPDATE watchers SET last_run = now(), last_error = $2, error_count = CASE WHEN $2::text IS NULL THEN 0 ELSE error_count + 1 END WHERE id = $1
