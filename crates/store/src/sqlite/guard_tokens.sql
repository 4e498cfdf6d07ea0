-- What an actor may write of the tokens by which programs come in, on SQLite (see guard_writes.sql).
CREATE TEMP TRIGGER guard_api_tokens_insert BEFORE INSERT ON main.api_tokens
BEGIN
    SELECT RAISE(ABORT, 'refused: api_tokens')
    WHERE is_service() OR (NEW.created_by = current_user_id() AND NEW.revoked_at IS NULL
           AND has_permission(current_user_id(), 'sign_in')
           AND NOT EXISTS (SELECT 1 FROM main.agents a WHERE a.user_id = current_user_id())
           AND (NEW.user_id = current_user_id() OR (has_permission(current_user_id(), 'user_admin')
             AND EXISTS (SELECT 1 FROM main.agents a WHERE a.user_id = NEW.user_id)))) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_api_tokens_columns BEFORE UPDATE OF id, user_id, name, token, hint, scopes, expires_at, created_by, created_at ON main.api_tokens
WHEN NOT (OLD.created_by IS NOT NULL AND NEW.created_by IS NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.created_by))
BEGIN SELECT RAISE(ABORT, 'refused: api_tokens'); END;
CREATE TEMP TRIGGER guard_api_tokens_columns_user BEFORE UPDATE OF last_used_at ON main.api_tokens
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: api_tokens'); END;
CREATE TEMP TRIGGER guard_api_tokens_columns_service BEFORE UPDATE OF revoked_at ON main.api_tokens
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: api_tokens'); END;
CREATE TEMP TRIGGER guard_api_tokens_update BEFORE UPDATE OF revoked_at ON main.api_tokens
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE)
    WHERE ((OLD.user_id = current_user_id() OR has_permission(current_user_id(), 'user_admin'))
           AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
    -- A token that was revoked stays so.
    SELECT RAISE(ABORT, 'refused: api_tokens') WHERE NEW.revoked_at IS NULL;
END;
CREATE TEMP TRIGGER guard_api_tokens_delete BEFORE DELETE ON main.api_tokens
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: api_tokens'); END;
