UPDATE recovery_codes SET used_at = now() WHERE user_id = $1 AND code = $2 AND used_at IS NULL
