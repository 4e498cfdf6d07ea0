-- Which master key the database is sealed with, so that a wrong one is refused before anything fails for it. It is the key's
-- fingerprint, which shows nothing of the key.
CREATE TABLE master_key (
    id TEXT NOT NULL PRIMARY KEY DEFAULT '00000000-0000-7000-8000-0000005c0100'
        CONSTRAINT chk_master_key_one CHECK (id = '00000000-0000-7000-8000-0000005c0100'),
    fingerprint TEXT NOT NULL CONSTRAINT chk_master_key_fingerprint CHECK (length(fingerprint) = 16 AND fingerprint NOT GLOB '*[^0-9a-f]*'),
    since TEXT NOT NULL DEFAULT (now()) CHECK (since GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
