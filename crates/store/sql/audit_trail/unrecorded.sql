-- A user of whose making the trail says nothing.
SELECT u.id::text FROM users u
WHERE NOT EXISTS (
    SELECT 1 FROM audit_trail a WHERE a.entity_type = 'user' AND a.entity_id = u.id AND a.action = 'user_created')
ORDER BY u.id LIMIT 1
