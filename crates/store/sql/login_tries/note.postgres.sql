INSERT INTO login_tries AS t (key, tries, since) SELECT k, 1, now() FROM unnest($1::text[]) AS k ORDER BY k
ON CONFLICT (key) DO UPDATE SET tries = CASE WHEN t.since < $2 THEN 1 ELSE t.tries + 1 END,
    since = CASE WHEN t.since < $2 THEN now() ELSE t.since END
RETURNING key, tries, since
