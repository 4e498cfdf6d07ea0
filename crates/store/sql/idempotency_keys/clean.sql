DELETE FROM idempotency_keys WHERE (user_id, key) IN
    (SELECT k.user_id, k.key FROM idempotency_keys k WHERE k.created_at < $1 ORDER BY k.created_at LIMIT $2)
