SELECT user_id::text AS id FROM second_factors WHERE user_id::text = $1 FOR UPDATE
