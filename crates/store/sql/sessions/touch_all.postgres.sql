-- The rows are locked in the order of ids, so that two nodes never wait for each other in a circle; and a session's use
-- is noted at most once a minute, however many nodes saw it.
WITH used AS (
    SELECT v.id, v.at::timestamptz AS at, v.due::timestamptz AS due, v.ends::timestamptz AS ends
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS v(id, at, due, ends)),
held AS (SELECT s.id FROM sessions s WHERE s.id = ANY($1) AND NOT s.is_revoked ORDER BY s.id FOR NO KEY UPDATE)
UPDATE sessions SET last_accessed = used.at, expires_at = greatest(sessions.expires_at, used.ends)
FROM used JOIN held ON held.id = used.id
WHERE sessions.id = used.id AND sessions.last_accessed <= used.due
