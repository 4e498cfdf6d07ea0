INSERT INTO push_keys (id, secret, created_at) VALUES (1, $1, now()) ON CONFLICT (id) DO NOTHING
