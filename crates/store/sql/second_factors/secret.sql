SELECT user_id, secret, last_step FROM second_factors WHERE user_id = $1 AND (confirmed_at IS NOT NULL) = $2
