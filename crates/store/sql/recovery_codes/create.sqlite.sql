INSERT INTO recovery_codes (user_id, code) SELECT $1, c.value FROM json_each($2) c
