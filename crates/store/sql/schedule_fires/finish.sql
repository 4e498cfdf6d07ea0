UPDATE schedule_fires SET state = $5, result = $6, finished_at = now(), lease_until = now()
WHERE name = $1 AND fire_at = $2 AND worker = $3 AND attempt = $4 AND state = 'started'
