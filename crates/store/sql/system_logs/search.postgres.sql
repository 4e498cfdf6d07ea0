-- $10: the query in its forms, and the marks (search.rs).
SELECT {columns}, ts_headline('english', coalesce(message, ''), to_tsquery('english', ($10::text[])[1]),
    format('HighlightAll=true, StartSel="%s", StopSel="%s"', ($10::text[])[4], ($10::text[])[5])) AS marked
FROM search_logs(($10::text[])[1], $1, $2, $3, $4, $5, $6, $7, $8, $9) ORDER BY timestamp DESC, id DESC
