SELECT {columns} FROM search_logs(($10::text[])[1], $1, $2, $3, $4, $5, $6, $7, $8, $9) ORDER BY timestamp DESC, id DESC
