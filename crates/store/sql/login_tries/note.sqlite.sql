INSERT INTO login_tries (key, tries, since) SELECT k.value, 1, now() FROM json_each($1) k WHERE true ORDER BY k.value
ON CONFLICT (key) DO UPDATE SET tries = CASE WHEN login_tries.since < $2 THEN 1 ELSE login_tries.tries + 1 END,
    since = CASE WHEN login_tries.since < $2 THEN now() ELSE login_tries.since END
RETURNING key, tries, since
