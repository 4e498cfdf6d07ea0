-- $1: the query for each database, and the marks (search.rs). What is unwanted alone finds all the rest.
WITH found AS MATERIALIZED (
    SELECT f.rowid AS place, bm25(idx_tasks_fulltext, 0.0, 2.5, 1.0) AS rank
    FROM main.idx_tasks_fulltext f WHERE idx_tasks_fulltext MATCH ($1 ->> 1)
    UNION ALL
    SELECT m.rowid, 0.0 FROM main.tasks m WHERE ($1 ->> 2) <> '""'
      AND m.rowid NOT IN (SELECT f.rowid FROM main.idx_tasks_fulltext f WHERE idx_tasks_fulltext MATCH ($1 ->> 2))
      AND m.rowid NOT IN (SELECT f.rowid FROM main.idx_tasks_fulltext f WHERE idx_tasks_fulltext MATCH ($1 ->> 1))
), best AS MATERIALIZED (
    SELECT t.id, found.place, found.rank FROM found JOIN main.tasks m ON m.rowid = found.place JOIN tasks t ON t.id = m.id
    WHERE ($2 IS NULL OR t.status = $2) AND ($3 IS NULL OR t.priority = $3) AND ($4 IS NULL OR t.assigned_to = $4)
      AND ($5 IS NULL OR t.created_at >= $5) AND ($6 IS NULL OR t.created_at < $6)
      AND ($7 IS NULL OR EXISTS (SELECT 1 FROM json_each(t.tags) j WHERE j.value = $7))
    ORDER BY found.rank, t.created_at DESC, t.id LIMIT max(min($8, 500), 0)
)
SELECT {columns:t},
    coalesce((SELECT highlight(idx_tasks_fulltext, 1, $1 ->> 3, $1 ->> 4) FROM main.idx_tasks_fulltext f
              WHERE idx_tasks_fulltext MATCH ($1 ->> 1) AND f.rowid = best.place), t.title) AS title_marked,
    coalesce((SELECT snippet(idx_tasks_fulltext, 2, $1 ->> 3, $1 ->> 4, ' … ', 32) FROM main.idx_tasks_fulltext f
              WHERE idx_tasks_fulltext MATCH ($1 ->> 1) AND f.rowid = best.place), substr(t.description, 1, 200)) AS description_marked
FROM best JOIN tasks t ON t.id = best.id ORDER BY best.rank, t.created_at DESC, t.id
