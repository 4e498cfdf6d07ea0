UPDATE schedule_fires SET worker = $4, attempt = attempt + 1, lease_until = from_now($5), started_at = now()
WHERE name = $1 AND fire_at = $2 AND attempt = $3 AND state = 'started' AND lease_until <= now()
