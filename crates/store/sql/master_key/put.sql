INSERT INTO master_key (id, fingerprint, since) VALUES ('00000000-0000-7000-8000-0000005c0100', $1, now())
ON CONFLICT (id) DO UPDATE SET fingerprint = $1, since = now() WHERE master_key.fingerprint <> $1
