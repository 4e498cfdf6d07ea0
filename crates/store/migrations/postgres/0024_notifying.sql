-- Telling people: by which ways notifications go out, and what became of each. A notification on the web is planned once:
-- each further way its reader wants becomes a row of `notifications` of its own, which is sent at least once.
CREATE TABLE notification_channels (
    channel VARCHAR(50) PRIMARY KEY,
    id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(), -- by which the audit trail names it
    config JSONB NOT NULL DEFAULT '{}',
    secret JSONB,                                      -- sealed
    is_active BOOLEAN NOT NULL DEFAULT true,
    CONSTRAINT chk_notification_channels_channel CHECK (channel IN ('email', 'push', 'sms'))
);
CREATE TABLE notification_outbox (
    notification_id UUID PRIMARY KEY REFERENCES notifications(id) ON DELETE CASCADE,
    state VARCHAR(20) NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- the fence: an older attempt may write nothing
    due_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    lease_until TIMESTAMPTZ,
    last_error TEXT,
    CONSTRAINT chk_outbox_state CHECK (state IN ('planning', 'waiting', 'done', 'failed'))
);
CREATE INDEX idx_notification_outbox_due ON notification_outbox(due_at, notification_id) WHERE state IN ('planning', 'waiting');

-- Nobody who tells somebody something can forget to send it.
CREATE FUNCTION notification_outbox_follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $fn$
BEGIN
    INSERT INTO public.notification_outbox (notification_id, state, due_at)
    VALUES (NEW.id, CASE WHEN NEW.channel = 'web' THEN 'planning' ELSE 'waiting' END, COALESCE(NEW.scheduled_for, now()));
    RETURN NULL;
END $fn$;
CREATE TRIGGER trg_notifications_outbox AFTER INSERT ON notifications
    FOR EACH ROW WHEN (NEW.channel = 'web' OR NEW.sent_at IS NULL) EXECUTE FUNCTION notification_outbox_follow();
CREATE TRIGGER trg_notification_channels_audit AFTER INSERT OR UPDATE OR DELETE ON notification_channels
    FOR EACH ROW EXECUTE FUNCTION audit_row('notification_channel', 'secret', '');

DO $do$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['notification_channels','notification_outbox'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY definer_%s ON %I TO app_definer USING (true) WITH CHECK (true)', t, t);
    EXECUTE format('CREATE POLICY service_%s ON %I TO app_service USING (true) WITH CHECK (true)', t, t);
  END LOOP;
END $do$;
-- What became of a notification is seen by whoever sees the notification; the ways are an administrator's.
CREATE POLICY notification_outbox_view ON notification_outbox FOR SELECT TO app_user
    USING (EXISTS (SELECT 1 FROM notifications n WHERE n.id = notification_id));
CREATE POLICY notification_channels_admin ON notification_channels FOR ALL TO app_user
    USING ((SELECT permissions && ARRAY['*', 'channel_admin'] FROM my_rights));
GRANT SELECT, INSERT ON notification_outbox TO app_definer;
GRANT CREATE ON SCHEMA public TO app_definer;
ALTER FUNCTION notification_outbox_follow() OWNER TO app_definer;
REVOKE CREATE ON SCHEMA public FROM app_definer;
REVOKE ALL ON FUNCTION notification_outbox_follow() FROM PUBLIC;
GRANT SELECT ON notification_outbox TO app_user, app_service;
GRANT UPDATE (state, attempts, due_at, lease_until, last_error) ON notification_outbox TO app_service;
GRANT SELECT (channel, id, config, is_active), INSERT, DELETE, UPDATE (config, secret, is_active) ON notification_channels TO app_user;
GRANT SELECT ON notification_channels TO app_service;
-- A person's own settings; whose they are, the program checks.
GRANT UPDATE (preferences) ON users TO app_service;

-- What ended in a period, for the briefing.
CREATE INDEX idx_tasks_ended ON tasks(updated_at DESC, id DESC) WHERE status IN ('completed', 'failed', 'cancelled');
