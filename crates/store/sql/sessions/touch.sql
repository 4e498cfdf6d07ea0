UPDATE sessions SET last_accessed = now(), expires_at = $2 WHERE id = $1
