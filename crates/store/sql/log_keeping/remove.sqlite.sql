DELETE FROM system_logs WHERE timestamp >= $2 AND timestamp < $3 AND id = ANY($1) RETURNING 1
