-- What an actor may write of pushes to browsers and of grants, on SQLite (see guard_writes.sql).
CREATE TEMP TRIGGER guard_push_keys_insert BEFORE INSERT ON main.push_keys
BEGIN
    SELECT RAISE(ABORT, 'refused: push_keys') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_push_keys_key BEFORE UPDATE OF id, created_at ON main.push_keys
BEGIN SELECT RAISE(ABORT, 'refused: push_keys'); END;
CREATE TEMP TRIGGER guard_push_keys_columns BEFORE UPDATE ON main.push_keys
BEGIN SELECT RAISE(ABORT, 'refused: push_keys') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_push_keys_delete BEFORE DELETE ON main.push_keys
BEGIN SELECT RAISE(ABORT, 'refused: push_keys'); END;

CREATE TEMP TRIGGER guard_push_subscriptions_insert BEFORE INSERT ON main.push_subscriptions
BEGIN
    SELECT RAISE(ABORT, 'refused: push_subscriptions') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_push_subscriptions_key BEFORE UPDATE OF id, endpoint_sha256, created_at ON main.push_subscriptions
BEGIN SELECT RAISE(ABORT, 'refused: push_subscriptions'); END;
CREATE TEMP TRIGGER guard_push_subscriptions_columns BEFORE UPDATE ON main.push_subscriptions
BEGIN SELECT RAISE(ABORT, 'refused: push_subscriptions') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_push_subscriptions_delete BEFORE DELETE ON main.push_subscriptions
WHEN NOT is_service() AND NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN
    SELECT RAISE(IGNORE)
    WHERE (OLD.user_id = current_user_id() AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
END;

-- And of what servers elsewhere let Steward do. A server takes its own along when it goes.
CREATE TEMP TRIGGER guard_server_grants_insert BEFORE INSERT ON main.server_grants
BEGIN
    SELECT RAISE(ABORT, 'refused: server_grants')
    WHERE NOT is_service() AND (NOT has_permission(current_user_id(), 'server_admin') OR NEW.renewing_until IS NOT NULL);
END;
CREATE TEMP TRIGGER guard_server_grants_key BEFORE UPDATE OF server_id, created_at ON main.server_grants
BEGIN SELECT RAISE(ABORT, 'refused: server_grants'); END;
CREATE TEMP TRIGGER guard_server_grants_columns BEFORE UPDATE ON main.server_grants
BEGIN SELECT RAISE(ABORT, 'refused: server_grants') WHERE NOT is_service(); END;
CREATE TEMP TRIGGER guard_server_grants_delete BEFORE DELETE ON main.server_grants
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT is_service() AND NOT has_permission(current_user_id(), 'server_admin')
        AND EXISTS (SELECT 1 FROM main.mcp_servers s WHERE s.id = OLD.server_id);
END;
