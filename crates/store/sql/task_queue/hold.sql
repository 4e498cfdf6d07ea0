-- A lease that ran out is still its holder's while nobody claimed the task again: the attempt says so.
UPDATE task_queue SET state = 'leased', worker = $2, lease_until = from_now($4)
WHERE task_id = $1 AND attempt = $3 AND (state = 'leased' AND worker = $2 OR state = 'ready' AND worker IS NULL) RETURNING {columns}
