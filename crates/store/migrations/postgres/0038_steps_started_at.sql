-- Rules that count look at the calls of the last hours, not at all there ever were.
-- online
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_steps_started_at ON steps(started_at) WHERE started_at IS NOT NULL;
