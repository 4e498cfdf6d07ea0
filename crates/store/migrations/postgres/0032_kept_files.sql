-- Files in the vault: one row a content and key. Rows of file_attachments name it by storage_path, several of them the same
-- one where their content is the same. Its key is here, wrapped by the master key, so that the file itself never changes.
CREATE TABLE kept_files (
    storage_path TEXT PRIMARY KEY CONSTRAINT chk_kept_file_path CHECK (storage_path <> ''),
    content_sha256 VARCHAR(64) NOT NULL CONSTRAINT chk_kept_file_sha256 CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    size_bytes BIGINT NOT NULL CONSTRAINT chk_kept_file_size CHECK (size_bytes >= 0),
    sealed_key JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    checked_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP, -- when its content was last read and compared
    trouble TEXT -- what was wrong with it then
);
CREATE INDEX idx_kept_files_content_sha256 ON kept_files(content_sha256);
CREATE INDEX idx_kept_files_checked_at ON kept_files(checked_at, storage_path);
CREATE INDEX idx_kept_files_trouble ON kept_files(storage_path) WHERE trouble IS NOT NULL;

-- Steward's own bookkeeping: nobody else reads or writes it. (Of who brought and who lost a file, file_attachments tells the
-- audit trail.)
ALTER TABLE kept_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE kept_files FORCE ROW LEVEL SECURITY;
CREATE POLICY definer_kept_files ON kept_files TO app_definer USING (true) WITH CHECK (true);
CREATE POLICY service_kept_files ON kept_files TO app_service USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE, UPDATE (sealed_key, checked_at, trouble) ON kept_files TO app_service;
-- A file that bears its own key, as older ones do, is kept anew in another place.
GRANT UPDATE (storage_path) ON file_attachments TO app_service;

INSERT INTO schedules (name, id, cron) VALUES ('attachments-check', '00000000-0000-7000-8000-0000005c0021', '40 3 * * *');
