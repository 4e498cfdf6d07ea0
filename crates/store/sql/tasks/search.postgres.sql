SELECT {columns:t} FROM search_tasks($1, $2) WITH ORDINALITY AS found(id, place) JOIN tasks t ON t.id = found.id ORDER BY found.place
