-- 4. System logs
-- FIX 06: system_logs is itself the partitioned table (see "Partitioning Strategy"), so the key carries "timestamp".
CREATE TABLE system_logs (
    id UUID NOT NULL DEFAULT gen_random_uuid(),
    timestamp TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    level VARCHAR(20) NOT NULL,
    module VARCHAR(100),
    message TEXT,
    -- FIX 17: a log line outlives the user and the task it names.
    user_id UUID REFERENCES users(id) ON DELETE SET NULL,
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,
    request_id VARCHAR(100),
    ip_address INET,
    user_agent TEXT,
    metadata JSONB,
    PRIMARY KEY (id, timestamp),
    CONSTRAINT chk_log_level CHECK (level IN ('debug', 'info', 'warning', 'error', 'critical'))
) PARTITION BY RANGE (timestamp);
