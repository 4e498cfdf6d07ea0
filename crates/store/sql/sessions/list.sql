SELECT s.id, s.user_id, s.created_at, s.expires_at, s.last_accessed, coalesce(s.authenticated_at, s.created_at) AS authenticated_at,
    s.ip_address, s.user_agent
FROM sessions s WHERE s.user_id = $1 AND NOT s.is_revoked AND s.expires_at > now()
ORDER BY s.last_accessed DESC, s.id LIMIT $2
