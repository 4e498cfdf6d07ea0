-- What an actor may write of passkeys, on SQLite (see guard_writes.sql).
CREATE TEMP TRIGGER guard_passkeys_insert BEFORE INSERT ON main.passkeys
BEGIN
    SELECT RAISE(ABORT, 'refused: passkeys') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_passkeys_key BEFORE UPDATE OF id, user_id, name, site, credential_sha256, created_at ON main.passkeys
BEGIN SELECT RAISE(ABORT, 'refused: passkeys'); END;
CREATE TEMP TRIGGER guard_passkeys_columns BEFORE UPDATE ON main.passkeys
BEGIN SELECT RAISE(ABORT, 'refused: passkeys') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_passkeys_delete BEFORE DELETE ON main.passkeys
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN
    SELECT RAISE(ABORT, 'refused: passkeys') WHERE is_service();
    SELECT RAISE(IGNORE)
    WHERE ((OLD.user_id = current_user_id() OR has_permission(current_user_id(), 'user_admin'))
           AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
END;
