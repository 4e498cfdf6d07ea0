-- 9. Notifications
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    user_id TEXT REFERENCES users(id) ON DELETE CASCADE,
    title TEXT NOT NULL CHECK (length(title) <= 255),
    message TEXT,
    type TEXT NOT NULL,
    priority TEXT NOT NULL DEFAULT 'normal' CHECK (length(priority) <= 20),
    status TEXT NOT NULL DEFAULT 'unread',
    data TEXT CHECK (json_valid(data)),
    read_at TEXT CHECK (read_at GLOB '????-??-??T??:??:??.??????Z'),
    sent_at TEXT CHECK (sent_at GLOB '????-??-??T??:??:??.??????Z'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    scheduled_for TEXT CHECK (scheduled_for GLOB '????-??-??T??:??:??.??????Z'),
    channel TEXT NOT NULL DEFAULT 'web',
    CONSTRAINT chk_notification_channel CHECK (channel IN ('web', 'email', 'push', 'sms')),
    CONSTRAINT chk_notification_status CHECK (status IN ('unread', 'read', 'archived')),
    CONSTRAINT chk_notification_type CHECK (type IN ('alert', 'approval', 'status', 'error', 'info'))
) STRICT;
