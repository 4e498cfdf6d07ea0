-- What whoever ran it says in the end of one that was cancelled meanwhile.
UPDATE schedule_fires SET result = result || '; ' || $5::text
WHERE name = $1 AND fire_at = $2 AND worker = $3 AND attempt = $4 AND state = 'failed'
