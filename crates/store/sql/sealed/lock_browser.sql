SELECT id::text AS id FROM push_subscriptions WHERE id::text = $1 FOR UPDATE
