SELECT {columns} FROM passkeys WHERE credential_sha256 = $1
