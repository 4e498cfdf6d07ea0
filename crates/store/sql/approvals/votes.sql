SELECT {columns} FROM approval_votes WHERE approval_id = $1 ORDER BY created_at, user_id
