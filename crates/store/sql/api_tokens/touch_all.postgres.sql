-- In the order of ids, so that two nodes never wait for each other in a circle; and at most once a minute.
WITH used AS (
    SELECT v.id, v.at::timestamptz AS at, v.due::timestamptz AS due FROM unnest($1::uuid[], $2::text[], $3::text[]) AS v(id, at, due)),
held AS (SELECT t.id FROM api_tokens t WHERE t.id = ANY($1) AND t.revoked_at IS NULL ORDER BY t.id FOR NO KEY UPDATE)
UPDATE api_tokens SET last_used_at = used.at FROM used JOIN held ON held.id = used.id
WHERE api_tokens.id = used.id AND (api_tokens.last_used_at IS NULL OR api_tokens.last_used_at <= used.due)
