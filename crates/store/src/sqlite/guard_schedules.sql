-- What an actor may write of what runs by the clock; run with guard_writes.sql, which says how.

CREATE TEMP TRIGGER guard_schedules_insert BEFORE INSERT ON main.schedules
BEGIN SELECT RAISE(ABORT, 'refused: schedules'); END;
CREATE TEMP TRIGGER guard_schedules_columns BEFORE UPDATE OF name, id ON main.schedules
BEGIN SELECT RAISE(ABORT, 'refused: schedules'); END;
CREATE TEMP TRIGGER guard_schedules_columns_user BEFORE UPDATE OF last_fire_at, last_status, last_result, last_duration_ms, last_was_missed ON main.schedules
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: schedules'); END;
CREATE TEMP TRIGGER guard_schedules_columns_service BEFORE UPDATE OF cron, time_zone, is_active, run_by, requested_at ON main.schedules
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: schedules'); END;
CREATE TEMP TRIGGER guard_schedules_update BEFORE UPDATE OF cron, time_zone, is_active, run_by, next_fire_at, requested_at ON main.schedules
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'schedule_admin');
END;
CREATE TEMP TRIGGER guard_schedules_delete BEFORE DELETE ON main.schedules
BEGIN SELECT RAISE(ABORT, 'refused: schedules'); END;

CREATE TEMP TRIGGER guard_schedule_fires_insert BEFORE INSERT ON main.schedule_fires
BEGIN
    SELECT RAISE(ABORT, 'refused: schedule_fires') WHERE NOT is_service();
END;
CREATE TEMP TRIGGER guard_schedule_fires_columns BEFORE UPDATE OF name, fire_at ON main.schedule_fires
BEGIN SELECT RAISE(ABORT, 'refused: schedule_fires'); END;
CREATE TEMP TRIGGER guard_schedule_fires_columns_user BEFORE UPDATE ON main.schedule_fires
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: schedule_fires'); END;
CREATE TEMP TRIGGER guard_schedule_fires_delete BEFORE DELETE ON main.schedule_fires
WHEN NOT is_service() AND NOT (OLD.name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.schedules p WHERE p.name = OLD.name))
BEGIN SELECT RAISE(ABORT, 'refused: schedule_fires'); END;
