INSERT INTO recovery_codes (user_id, code) SELECT $1, c FROM unnest($2::text[]) AS c
