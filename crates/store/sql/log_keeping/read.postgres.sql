SELECT {columns} FROM read_log_month($1, $4, $5, $6)
WHERE ($2::timestamptz IS NULL OR timestamp >= $2) AND ($3::timestamptz IS NULL OR timestamp < $3)
