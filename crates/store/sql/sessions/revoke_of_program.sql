UPDATE sessions SET is_revoked = true WHERE user_id = $1 AND user_agent = $2 AND NOT is_revoked
