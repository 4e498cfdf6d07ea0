UPDATE schedule_fires SET lease_until = now(), attempt = attempt - 1
WHERE name = $1 AND fire_at = $2 AND worker = $3 AND attempt = $4 AND state = 'started'
