INSERT INTO second_factors AS f (user_id, secret, created_at) VALUES ($1, $2, now())
ON CONFLICT (user_id) DO UPDATE SET secret = $2, created_at = now(), last_step = 0 WHERE f.confirmed_at IS NULL
