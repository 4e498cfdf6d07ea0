-- What went out by other ways than the web is little beside all that was told.
-- online
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_notifications_user_ways ON notifications(user_id, created_at DESC, id DESC) WHERE channel <> 'web';
