SELECT {columns} FROM system_logs WHERE timestamp >= $2 AND timestamp < $3 AND (timestamp, id) > ($4, $5)
ORDER BY timestamp, id LIMIT $6
