-- 8. File attachments
CREATE TABLE file_attachments (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    filename TEXT NOT NULL CHECK (length(filename) <= 255),
    original_filename TEXT NOT NULL CHECK (length(original_filename) <= 255),
    mime_type TEXT CHECK (length(mime_type) <= 100),
    file_size INTEGER CONSTRAINT file_attachments_file_size_check CHECK (file_size >= 0),
    storage_path TEXT NOT NULL,
    uploaded_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    expires_at TEXT CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
    is_encrypted INTEGER NOT NULL DEFAULT 0 CHECK (is_encrypted IN (0, 1)),
    hash_checksum TEXT CONSTRAINT file_attachments_hash_checksum_check CHECK (length(hash_checksum) = 64 AND hash_checksum NOT GLOB '*[^0-9a-f]*') -- SHA-256 hash
) STRICT;
