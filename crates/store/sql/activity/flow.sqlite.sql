-- Tasks the actor may see, by the UTC day they were made on, from $1 on, and what became of them.
SELECT substr(created_at, 1, 10) AS day, count(*) AS made,
    count(*) FILTER (WHERE status = 'completed') AS completed, count(*) FILTER (WHERE status = 'failed') AS failed
FROM tasks WHERE created_at >= $1 GROUP BY 1 ORDER BY 1
