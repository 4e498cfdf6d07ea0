DELETE FROM passkeys WHERE id = $1
