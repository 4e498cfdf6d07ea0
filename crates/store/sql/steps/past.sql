-- Calls that were judged, newest first: ids follow the time.
SELECT {columns} FROM steps WHERE created_at >= $1 AND server <> '' ORDER BY id DESC LIMIT $2
