-- What is due and nobody holds; whose lease ran out is taken for dead, and what it held is sent again.
UPDATE notification_outbox SET attempts = attempts + 1, lease_until = from_now($1)
WHERE notification_id IN (
    SELECT c.notification_id FROM notification_outbox c
    WHERE c.state IN ('planning', 'waiting') AND c.due_at <= now() AND (c.lease_until IS NULL OR c.lease_until <= now())
    ORDER BY c.due_at, c.notification_id LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING {columns}
