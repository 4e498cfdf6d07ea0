UPDATE passkeys SET credential = $2, sign_count = $3, last_used_at = now(), last_challenge_at = $4
WHERE id = $1 AND (last_challenge_at IS NULL OR last_challenge_at < $4)
