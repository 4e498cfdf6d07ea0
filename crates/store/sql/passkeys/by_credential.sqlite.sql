-- As for sessions: the row is found beneath the guard, which hides the index.
SELECT {columns} FROM passkeys
WHERE id = (SELECT m.id FROM main.passkeys m WHERE m.credential_sha256 = $1 AND is_service())
