-- $1: the query for each database, and the marks (search.rs).
SELECT {columns:t}, found.title_marked, found.description_marked
FROM find_tasks(($1::text[])[1], ($1::text[])[4], ($1::text[])[5], $2, $3, $4, $5, $6, $7, $8)
    WITH ORDINALITY AS found(id, title_marked, description_marked, place)
JOIN tasks t ON t.id = found.id ORDER BY found.place
