SELECT {columns:t} FROM tasks_after($1, $2) AS found(id) JOIN tasks t ON t.id = found.id ORDER BY t.created_at, t.id
