UPDATE sessions SET is_revoked = true WHERE user_id = $1 AND id <> $2 AND NOT is_revoked
