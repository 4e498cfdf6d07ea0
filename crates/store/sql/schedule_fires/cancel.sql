UPDATE schedule_fires SET state = 'failed', result = $3, finished_at = now(), lease_until = now()
WHERE name = $1 AND fire_at = $2 AND state = 'started'
