-- Two arms, of which one runs: whoever may see all walks the log by time, others walk their own lines by time.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM system_logs
        WHERE (is_service() OR has_permission(current_user_id(), 'log_view_all'))
          AND level = ANY($1) AND ($2::text IS NULL OR module = $2) AND ($3::uuid IS NULL OR task_id = $3) AND ($4::uuid IS NULL OR user_id = $4)
          AND timestamp >= $5 AND timestamp < $6 AND (timestamp, id) < ($7, $8)
        ORDER BY timestamp DESC, id DESC LIMIT $9
    ) AS everybodys
    UNION ALL
    SELECT {columns} FROM (
        SELECT {columns} FROM system_logs
        WHERE (is_service() OR has_permission(current_user_id(), 'log_view_all')) IS NOT TRUE AND user_id = current_user_id()
          AND level = ANY($1) AND ($2::text IS NULL OR module = $2) AND ($3::uuid IS NULL OR task_id = $3) AND ($4::uuid IS NULL OR user_id = $4)
          AND timestamp >= $5 AND timestamp < $6 AND (timestamp, id) < ($7, $8)
        ORDER BY timestamp DESC, id DESC LIMIT $9
    ) AS own
) AS seen
ORDER BY timestamp DESC, id DESC LIMIT $9
