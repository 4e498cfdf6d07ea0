-- One table: its months are counted, and none has a size of its own.
SELECT 'system_logs_' || replace(m.month, '-', '_') AS name, 'month' AS state, m.month || '-01T00:00:00.000000Z' AS from_at,
       strftime('%Y-%m-%dT00:00:00.000000Z', m.month || '-01', '+1 month') AS to_at, m.lines AS lines, 1 AS is_exact, NULL AS size_bytes
FROM (SELECT substr(timestamp, 1, 7) AS month, count(*) AS lines FROM system_logs GROUP BY substr(timestamp, 1, 7)) m ORDER BY m.month
