-- Nothing where the time was taken already, or another run of the job goes on.
INSERT INTO schedule_fires (name, fire_at, state, worker, attempt, started_at, lease_until)
SELECT s.name, $2::timestamptz, 'started', $3::text, 1, now(), from_now($4)
FROM schedules s WHERE s.name = $1 AND (s.next_fire_at = $2 OR s.requested_at = $2)
ON CONFLICT DO NOTHING
