SELECT shown.token FROM (
    SELECT s.token, s.created_at, s.id FROM sessions s WHERE s.id = $1 OR s.user_id = $1
    UNION ALL SELECT a.token, a.created_at, a.id FROM api_tokens a WHERE a.id = $1 OR a.user_id = $1) shown
ORDER BY shown.created_at DESC, shown.id LIMIT 1000
