UPDATE sessions SET authenticated_at = now() WHERE id = $1 AND NOT is_revoked
