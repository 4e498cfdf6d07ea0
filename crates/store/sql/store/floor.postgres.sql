-- Fails on a standby, as it must: only the primary knows what was committed last.
SELECT pg_current_snapshot()::text AS floor,
       (SELECT system_identifier FROM pg_control_system())::text || '.' ||
       (SELECT oid FROM pg_database WHERE datname = current_database())::text || '.' ||
       substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS scope
