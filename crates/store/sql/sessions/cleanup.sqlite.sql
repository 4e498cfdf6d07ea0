DELETE FROM sessions WHERE expires_at < now() OR is_revoked RETURNING 1
