-- The guard of idempotency_keys: Steward's own bookkeeping, which nobody else reads or writes.
CREATE TEMP VIEW idempotency_keys AS
SELECT user_id, key, request_sha256, status, answer, created_at
FROM main.idempotency_keys
WHERE CASE WHEN is_service() THEN 1 ELSE refuse('idempotency_keys') END;

CREATE TEMP TRIGGER guard_idempotency_keys_insert BEFORE INSERT ON main.idempotency_keys
BEGIN
    SELECT RAISE(ABORT, 'refused: idempotency_keys') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_idempotency_keys_columns BEFORE UPDATE OF user_id, key ON main.idempotency_keys
BEGIN SELECT RAISE(ABORT, 'refused: idempotency_keys'); END;
CREATE TEMP TRIGGER guard_idempotency_keys_columns_user BEFORE UPDATE ON main.idempotency_keys
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: idempotency_keys'); END;
CREATE TEMP TRIGGER guard_idempotency_keys_delete BEFORE DELETE ON main.idempotency_keys
WHEN NOT is_service() AND NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: idempotency_keys'); END;
