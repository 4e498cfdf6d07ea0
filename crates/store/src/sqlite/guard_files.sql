-- The guards of kept_files and master_key: Steward's own bookkeeping, which nobody else reads or writes.
CREATE TEMP VIEW kept_files AS
SELECT storage_path, content_sha256, size_bytes, sealed_key, created_at, checked_at, trouble
FROM main.kept_files
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('kept_files') END;

CREATE TEMP TRIGGER guard_kept_files_insert BEFORE INSERT ON main.kept_files
BEGIN
    SELECT RAISE(ABORT, 'refused: kept_files') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_kept_files_columns BEFORE UPDATE OF storage_path, content_sha256, size_bytes, created_at ON main.kept_files
BEGIN SELECT RAISE(ABORT, 'refused: kept_files'); END;
CREATE TEMP TRIGGER guard_kept_files_columns_user BEFORE UPDATE ON main.kept_files
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: kept_files'); END;
CREATE TEMP TRIGGER guard_kept_files_delete BEFORE DELETE ON main.kept_files
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: kept_files'); END;

CREATE TEMP VIEW master_key AS
SELECT id, fingerprint, since
FROM main.master_key
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('master_key') END;

CREATE TEMP TRIGGER guard_master_key_insert BEFORE INSERT ON main.master_key
BEGIN
    SELECT RAISE(ABORT, 'refused: master_key') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_master_key_columns BEFORE UPDATE OF id ON main.master_key
BEGIN SELECT RAISE(ABORT, 'refused: master_key'); END;
CREATE TEMP TRIGGER guard_master_key_columns_user BEFORE UPDATE ON main.master_key
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: master_key'); END;
CREATE TEMP TRIGGER guard_master_key_delete BEFORE DELETE ON main.master_key
BEGIN SELECT RAISE(ABORT, 'refused: master_key'); END;
