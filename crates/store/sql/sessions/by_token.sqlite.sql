-- The guard shows tokens to Steward itself alone, and so hides the index on them: the row is found beneath it, then read by
-- its id. Sessions lead the walk, else everybody's would be read.
SELECT s.id, s.user_id, u.username, u.role, s.created_at, s.expires_at, s.last_accessed,
       EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) AS is_agent, NULL::text[] AS scopes,
       coalesce(s.authenticated_at, s.created_at) AS authenticated_at
FROM sessions s CROSS JOIN users u ON u.id = s.user_id
WHERE s.id = (SELECT m.id FROM main.sessions m WHERE m.token = $1 AND is_service()) AND NOT s.is_revoked AND s.expires_at > now() AND u.status = 'active'
