INSERT INTO push_subscriptions (id, user_id, name, endpoint_sha256, secret, created_at)
SELECT $1, $2, $3, $4::text, $5, now()
WHERE (SELECT count(*) FROM push_subscriptions p WHERE p.user_id = $2 AND p.endpoint_sha256 <> $4::text) < $6
ON CONFLICT (endpoint_sha256) DO UPDATE SET user_id = $2, name = $3, secret = $5
