-- 9. Notifications
CREATE TABLE notifications (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID REFERENCES users(id) ON DELETE CASCADE,
    title VARCHAR(255) NOT NULL,
    message TEXT,
    type VARCHAR(50) NOT NULL,
    priority VARCHAR(20) NOT NULL DEFAULT 'normal',
    status VARCHAR(20) NOT NULL DEFAULT 'unread',
    data JSONB,
    read_at TIMESTAMPTZ,
    -- FIX 16: DEFAULT CURRENT_TIMESTAMP marked a notification scheduled for later as already sent; the sender sets it.
    sent_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    scheduled_for TIMESTAMPTZ,
    channel VARCHAR(50) NOT NULL DEFAULT 'web',
    CONSTRAINT chk_notification_type CHECK (type IN ('alert', 'approval', 'status', 'error', 'info')),
    CONSTRAINT chk_notification_status CHECK (status IN ('unread', 'read', 'archived')),
    CONSTRAINT chk_notification_channel CHECK (channel IN ('web', 'email', 'push', 'sms'))
);
