-- As for sessions: the row is found beneath the guard, which hides the index, and leads the walk.
SELECT t.id, t.user_id, u.username, u.role, t.created_at, t.expires_at, coalesce(t.last_used_at, t.created_at) AS last_accessed,
       EXISTS (SELECT 1 FROM agents a WHERE a.user_id = u.id) AS is_agent, t.scopes, NULL::timestamptz AS authenticated_at
FROM api_tokens t CROSS JOIN users u ON u.id = t.user_id
WHERE t.id = (SELECT m.id FROM main.api_tokens m WHERE m.token = $1 AND is_service()) AND t.revoked_at IS NULL AND t.expires_at > now() AND u.status = 'active'
