-- Who there is: 1,000 users, an administrator and an agent. Triggers are off: nothing of this is worth an audit row.
INSERT INTO users (id, username, email, password_hash, role)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'user' || i, 'user' || i || '@example.org', '$argon2id$none',
       CASE WHEN i = 1001 THEN 'admin' ELSE 'user' END
FROM generate_series(1, 1002) i;
INSERT INTO agents (user_id) VALUES (lpad(to_hex(1002), 32, '0')::uuid);
