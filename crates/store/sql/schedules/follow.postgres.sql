SELECT follow_pg_cron()::bigint
