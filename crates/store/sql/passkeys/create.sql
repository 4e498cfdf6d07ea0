INSERT INTO passkeys (id, user_id, name, site, credential_sha256, credential, sign_count, created_at, last_challenge_at)
SELECT $1, $2, $3, $4, $5, $6, $7, now(), $8
WHERE (SELECT count(*) FROM passkeys p WHERE p.user_id = $2) < $9
