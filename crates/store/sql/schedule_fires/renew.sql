UPDATE schedule_fires SET lease_until = from_now($5), result = COALESCE($6::text, result)
WHERE name = $1 AND fire_at = $2 AND worker = $3 AND attempt = $4 AND state = 'started'
