-- What an actor may see and write of how people are told, on SQLite: the policies and grants of
-- migrations/postgres (see guard_reads.sql and guard_writes.sql).
CREATE TEMP TRIGGER guard_notifications_insert BEFORE INSERT ON main.notifications
BEGIN
    SELECT RAISE(ABORT, 'refused: notifications')
    WHERE NOT is_service() AND ((NEW.user_id = current_user_id() OR EXISTS (
        SELECT 1 FROM tasks t WHERE t.assigned_to = current_user_id() AND t.created_by = NEW.user_id))
           AND has_permission(current_user_id(), 'task_create')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_notifications_columns BEFORE UPDATE OF id, user_id, title, message, type, priority, data, created_at, scheduled_for, channel ON main.notifications
BEGIN SELECT RAISE(ABORT, 'refused: notifications'); END;
CREATE TEMP TRIGGER guard_notifications_columns_user BEFORE UPDATE OF sent_at ON main.notifications
WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: notifications'); END;
CREATE TEMP TRIGGER guard_notifications_columns_service BEFORE UPDATE OF status, read_at ON main.notifications
WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: notifications'); END;
CREATE TEMP TRIGGER guard_notifications_update BEFORE UPDATE OF status, read_at ON main.notifications
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE (OLD.user_id = current_user_id() AND has_permission(current_user_id(), 'sign_in')) IS NOT TRUE;
END;
CREATE TEMP TRIGGER guard_notifications_delete BEFORE DELETE ON main.notifications
WHEN NOT (OLD.user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.users p WHERE p.id = OLD.user_id))
BEGIN SELECT RAISE(ABORT, 'refused: notifications'); END;

CREATE TEMP TRIGGER guard_notification_outbox_insert BEFORE INSERT ON main.notification_outbox WHEN NOT take_definer()
BEGIN SELECT RAISE(ABORT, 'refused: notification_outbox'); END;
CREATE TEMP TRIGGER guard_notification_outbox_columns BEFORE UPDATE OF notification_id ON main.notification_outbox
BEGIN SELECT RAISE(ABORT, 'refused: notification_outbox'); END;
CREATE TEMP TRIGGER guard_notification_outbox_update BEFORE UPDATE ON main.notification_outbox WHEN NOT is_service()
BEGIN SELECT RAISE(ABORT, 'refused: notification_outbox'); END;
CREATE TEMP TRIGGER guard_notification_outbox_delete BEFORE DELETE ON main.notification_outbox
WHEN NOT (OLD.notification_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.notifications p WHERE p.id = OLD.notification_id))
BEGIN SELECT RAISE(ABORT, 'refused: notification_outbox'); END;

CREATE TEMP TRIGGER guard_notification_channels_insert BEFORE INSERT ON main.notification_channels
BEGIN
    SELECT RAISE(ABORT, 'refused: notification_channels') WHERE is_service() OR NOT has_permission(current_user_id(), 'channel_admin');
END;
CREATE TEMP TRIGGER guard_notification_channels_columns BEFORE UPDATE OF channel, id ON main.notification_channels
BEGIN SELECT RAISE(ABORT, 'refused: notification_channels'); END;
CREATE TEMP TRIGGER guard_notification_channels_service BEFORE UPDATE ON main.notification_channels WHEN is_service()
BEGIN SELECT RAISE(ABORT, 'refused: notification_channels'); END;
CREATE TEMP TRIGGER guard_notification_channels_update BEFORE UPDATE OF config, secret, is_active ON main.notification_channels
WHEN NOT is_service()
BEGIN
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'channel_admin');
END;
CREATE TEMP TRIGGER guard_notification_channels_delete BEFORE DELETE ON main.notification_channels
BEGIN
    SELECT RAISE(ABORT, 'refused: notification_channels') WHERE is_service();
    SELECT RAISE(IGNORE) WHERE NOT has_permission(current_user_id(), 'channel_admin');
END;
