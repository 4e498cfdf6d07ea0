-- Files in the vault: one row a content and key. Rows of file_attachments name it by storage_path, several of them the same
-- one where their content is the same. Its key is here, wrapped by the master key, so that the file itself never changes.
CREATE TABLE kept_files (
    storage_path TEXT NOT NULL PRIMARY KEY CONSTRAINT chk_kept_file_path CHECK (storage_path <> ''),
    content_sha256 TEXT NOT NULL CONSTRAINT chk_kept_file_sha256 CHECK (length(content_sha256) = 64 AND content_sha256 NOT GLOB '*[^0-9a-f]*'),
    size_bytes INTEGER NOT NULL CONSTRAINT chk_kept_file_size CHECK (size_bytes >= 0),
    sealed_key TEXT NOT NULL CHECK (json_valid(sealed_key)),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    checked_at TEXT NOT NULL DEFAULT (now()) CHECK (checked_at GLOB '????-??-??T??:??:??.??????Z'), -- when its content was last read and compared
    trouble TEXT -- what was wrong with it then
) STRICT;
CREATE INDEX idx_kept_files_content_sha256 ON kept_files(content_sha256);
CREATE INDEX idx_kept_files_checked_at ON kept_files(checked_at, storage_path);
CREATE INDEX idx_kept_files_trouble ON kept_files(storage_path) WHERE trouble IS NOT NULL;

INSERT INTO schedules (name, id, cron) VALUES ('attachments-check', '00000000-0000-7000-8000-0000005c0021', '40 3 * * *');
