SELECT {columns:t} FROM main.idx_tasks_fulltext f JOIN main.tasks m ON m.rowid = f.rowid JOIN tasks t ON t.id = m.id
WHERE idx_tasks_fulltext MATCH websearch($1) ORDER BY bm25(idx_tasks_fulltext), t.id LIMIT min($2, 500)
