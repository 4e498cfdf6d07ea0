UPDATE idempotency_keys SET status = $3, answer = $4 WHERE user_id = $1 AND key = $2 AND status IS NULL
