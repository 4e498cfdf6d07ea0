-- 2. Tasks
CREATE TABLE tasks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    title VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) NOT NULL DEFAULT 'pending',
    priority VARCHAR(20) NOT NULL DEFAULT 'medium',
    -- FIX 17: delete rules (the seed's NO ACTION makes any referenced user or task undeletable).
    assigned_to UUID REFERENCES users(id) ON DELETE SET NULL,
    created_by UUID REFERENCES users(id),
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    due_date TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    -- FIX 15: no negative durations.
    estimated_duration INTEGER CHECK (estimated_duration >= 0), -- in minutes
    actual_duration INTEGER CHECK (actual_duration >= 0),       -- in minutes
    metadata JSONB NOT NULL DEFAULT '{}',
    dependencies UUID[] NOT NULL DEFAULT '{}', -- array of task IDs this task depends on
    tags TEXT[] NOT NULL DEFAULT '{}',
    CONSTRAINT chk_status CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
    CONSTRAINT chk_priority CHECK (priority IN ('low', 'medium', 'high', 'critical'))
);
