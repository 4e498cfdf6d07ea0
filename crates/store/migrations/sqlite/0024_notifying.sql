-- Telling people: by which ways notifications go out, and what became of each. A notification on the web is planned once:
-- each further way its reader wants becomes a row of `notifications` of its own, which is sent at least once.
CREATE TABLE notification_channels (
    channel TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 36 AND id = lower(id)) DEFAULT -- by which the audit trail names it
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    config TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(config)),
    secret TEXT CHECK (json_valid(secret)), -- sealed
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    CONSTRAINT chk_notification_channels_channel CHECK (channel IN ('email', 'push', 'sms'))
) STRICT;
CREATE TABLE notification_outbox (
    notification_id TEXT NOT NULL PRIMARY KEY REFERENCES notifications(id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CONSTRAINT notification_outbox_attempts_check CHECK (attempts >= 0), -- the fence: an older attempt may write nothing
    due_at TEXT NOT NULL DEFAULT (now()) CHECK (due_at GLOB '????-??-??T??:??:??.??????Z'),
    lease_until TEXT CHECK (lease_until GLOB '????-??-??T??:??:??.??????Z'),
    last_error TEXT,
    CONSTRAINT chk_outbox_state CHECK (state IN ('planning', 'waiting', 'done', 'failed'))
) STRICT;
CREATE INDEX idx_notification_outbox_due ON notification_outbox(due_at, notification_id) WHERE state IN ('planning', 'waiting');

-- Nobody who tells somebody something can forget to send it.
CREATE TRIGGER trg_notifications_outbox AFTER INSERT ON notifications WHEN NEW.channel = 'web' OR NEW.sent_at IS NULL
BEGIN
    INSERT INTO notification_outbox (notification_id, state, due_at)
    VALUES (NEW.id, CASE WHEN NEW.channel = 'web' THEN 'planning' ELSE 'waiting' END, as_definer(COALESCE(NEW.scheduled_for, now())));
END;
CREATE TRIGGER trg_notification_channels_audit_ins AFTER INSERT ON notification_channels
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_channel_created', 'notification_channel', NEW.id, NULL, audit_values(
        'channel', NEW.channel, 'id', NEW.id, 'config:json', NEW.config, 'secret:secret', NEW.secret, 'is_active:bool', NEW.is_active),
        current_ip(), current_agent(), as_definer(now()); END;
CREATE TRIGGER trg_notification_channels_audit AFTER UPDATE OF channel, id, config, secret, is_active ON notification_channels
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_channel_updated', 'notification_channel', NEW.id, audit_part(c, 0), audit_part(c, 1),
        current_ip(), current_agent(), as_definer(now())
    FROM (SELECT audit_changes(
        'channel', OLD.channel, NEW.channel, 'id', OLD.id, NEW.id, 'config:json', OLD.config, NEW.config,
        'secret:secret', OLD.secret, NEW.secret, 'is_active:bool', OLD.is_active, NEW.is_active) AS c LIMIT 1)
    WHERE c IS NOT NULL;
END;
CREATE TRIGGER trg_notification_channels_audit_del AFTER DELETE ON notification_channels
BEGIN
    INSERT INTO audit_trail (user_id, action, entity_type, entity_id, old_values, new_values, ip_address, user_agent, created_at)
    SELECT current_user_id(), 'notification_channel_deleted', 'notification_channel', OLD.id, audit_values(
        'channel', OLD.channel, 'id', OLD.id, 'config:json', OLD.config, 'secret:secret', OLD.secret, 'is_active:bool', OLD.is_active), NULL,
        current_ip(), current_agent(), as_definer(now()); END;

-- What ended in a period, for the briefing.
CREATE INDEX idx_tasks_ended ON tasks(updated_at DESC, id DESC) WHERE status IN ('completed', 'failed', 'cancelled');
