UPDATE push_subscriptions SET secret = $2 WHERE id::text = $1
