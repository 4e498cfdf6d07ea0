-- Who there is: 1,000 users, an administrator and an agent. Triggers are off: the audit row that each user has is written here.
INSERT INTO users (id, username, email, password_hash, role)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'user' || i, 'user' || i || '@example.org', '$argon2id$none',
       CASE WHEN i = 1001 THEN 'admin' ELSE 'user' END
FROM generate_series(1, 1002) i;
INSERT INTO audit_trail (id, action, entity_type, entity_id, new_values, created_at)
SELECT gen_random_uuid(), 'user_created', 'user', u.id, jsonb_build_object('id', u.id, 'username', u.username), u.created_at FROM users u ORDER BY u.id;
INSERT INTO agents (user_id) VALUES (lpad(to_hex(1002), 32, '0')::uuid);
