-- A key that is past its time is as good as none. A user has at most 10000.
INSERT INTO idempotency_keys (user_id, key, request_sha256, created_at)
SELECT $1::uuid, $2::text, $3::text, now()
WHERE NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.user_id = $1 AND k.key <> $2 ORDER BY k.key LIMIT 1 OFFSET 9999)
ON CONFLICT (user_id, key) DO UPDATE SET request_sha256 = $3, status = NULL, answer = NULL, created_at = now()
WHERE idempotency_keys.created_at < $4::timestamptz
