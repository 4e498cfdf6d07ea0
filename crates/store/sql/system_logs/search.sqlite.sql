-- $10 is the list of the query's forms (PostgreSQL's, what FTS5 looks for, and what all but that is looked for by) and of the
-- marks (search.rs). Only what is answered is marked.
WITH found AS MATERIALIZED (
    SELECT m.rowid AS place, l.id, l.timestamp FROM main.system_logs m JOIN system_logs l ON l.id = m.id AND l.timestamp = m.timestamp
    WHERE m.rowid IN (
        SELECT f.rowid FROM main.idx_logs_fulltext f WHERE idx_logs_fulltext MATCH ($10 ->> 1)
        UNION ALL
        SELECT a.rowid FROM main.system_logs a WHERE ($10 ->> 2) <> '""' AND a.message IS NOT NULL
          AND a.rowid NOT IN (SELECT f.rowid FROM main.idx_logs_fulltext f WHERE idx_logs_fulltext MATCH ($10 ->> 2)))
      AND l.level = ANY($1) AND ($2 IS NULL OR l.module = $2) AND ($3 IS NULL OR l.task_id = $3) AND ($4 IS NULL OR l.user_id = $4)
      AND l.timestamp >= $5 AND l.timestamp < $6 AND (l.timestamp, l.id) < ($7, $8)
    ORDER BY l.timestamp DESC, l.id DESC LIMIT $9
)
SELECT {columns:l},
    coalesce((SELECT highlight(idx_logs_fulltext, 2, $10 ->> 3, $10 ->> 4) FROM main.idx_logs_fulltext f
              WHERE idx_logs_fulltext MATCH ($10 ->> 1) AND f.rowid = found.place), l.message, '') AS marked
FROM found JOIN system_logs l ON l.id = found.id AND l.timestamp = found.timestamp ORDER BY l.timestamp DESC, l.id DESC
