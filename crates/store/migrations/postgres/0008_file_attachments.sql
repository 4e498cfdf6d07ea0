-- 8. File attachments
CREATE TABLE file_attachments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    filename VARCHAR(255) NOT NULL,
    original_filename VARCHAR(255) NOT NULL,
    mime_type VARCHAR(100),
    file_size BIGINT CHECK (file_size >= 0),
    storage_path TEXT NOT NULL,
    uploaded_by UUID REFERENCES users(id) ON DELETE SET NULL,
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    expires_at TIMESTAMPTZ,
    is_encrypted BOOLEAN NOT NULL DEFAULT false,
    -- FIX 15: the comment promises a SHA-256; check its form.
    hash_checksum VARCHAR(64) CHECK (hash_checksum ~ '^[0-9a-f]{64}$') -- SHA-256 hash
);
