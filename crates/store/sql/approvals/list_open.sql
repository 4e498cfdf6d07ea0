-- Whether one may be seen is asked of each that is open, of which there are few, and not of all of one's tasks.
SELECT {columns} FROM approvals WHERE status = 'pending' AND (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC LIMIT $3
