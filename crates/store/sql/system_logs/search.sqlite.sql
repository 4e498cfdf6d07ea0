-- The query stands in $10 as the list of its forms: PostgreSQL's, what FTS5 looks for, and what all but that is looked for by.
SELECT {columns:l} FROM main.system_logs m JOIN system_logs l ON l.id = m.id AND l.timestamp = m.timestamp
WHERE m.rowid IN (
    SELECT f.rowid FROM main.idx_logs_fulltext f WHERE idx_logs_fulltext MATCH ($10 ->> 1)
    UNION ALL
    SELECT a.rowid FROM main.system_logs a WHERE ($10 ->> 2) <> '""' AND a.message IS NOT NULL
      AND a.rowid NOT IN (SELECT f.rowid FROM main.idx_logs_fulltext f WHERE idx_logs_fulltext MATCH ($10 ->> 2)))
  AND l.level = ANY($1) AND ($2 IS NULL OR l.module = $2) AND ($3 IS NULL OR l.task_id = $3) AND ($4 IS NULL OR l.user_id = $4)
  AND l.timestamp >= $5 AND l.timestamp < $6 AND (l.timestamp, l.id) < ($7, $8)
ORDER BY l.timestamp DESC, l.id DESC LIMIT $9
