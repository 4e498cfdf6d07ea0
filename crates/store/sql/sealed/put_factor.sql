UPDATE second_factors SET secret = $2 WHERE user_id::text = $1
