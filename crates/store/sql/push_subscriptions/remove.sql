DELETE FROM push_subscriptions WHERE id = $1
