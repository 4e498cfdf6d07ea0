-- 3. Approvals (chk_approval_single_decision of 0012 stands here)
CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    task_id TEXT REFERENCES tasks(id) ON DELETE CASCADE,
    action_type TEXT NOT NULL CHECK (length(action_type) <= 100),
    details TEXT CHECK (json_valid(details)),
    status TEXT NOT NULL DEFAULT 'pending',
    requested_by TEXT NOT NULL CHECK (length(requested_by) <= 100), -- could be user_id or system identifier
    approved_by TEXT REFERENCES users(id),
    approved_at TEXT CHECK (approved_at GLOB '????-??-??T??:??:??.??????Z'),
    rejected_by TEXT REFERENCES users(id),
    rejected_at TEXT CHECK (rejected_at GLOB '????-??-??T??:??:??.??????Z'),
    expires_at TEXT CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    notes TEXT,
    CONSTRAINT chk_approval_single_decision CHECK (
        (status = 'approved' AND approved_by IS NOT NULL AND approved_at IS NOT NULL AND rejected_by IS NULL AND rejected_at IS NULL) OR
        (status = 'rejected' AND rejected_by IS NOT NULL AND rejected_at IS NOT NULL AND approved_by IS NULL AND approved_at IS NULL) OR
        (status IN ('pending', 'expired') AND coalesce(approved_by, approved_at, rejected_by, rejected_at) IS NULL)),
    CONSTRAINT chk_approval_status CHECK (status IN ('pending', 'approved', 'rejected', 'expired'))
) STRICT;
