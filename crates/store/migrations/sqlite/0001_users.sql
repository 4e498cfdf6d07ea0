-- Who there is: users, their permissions, and agents. On SQLite there are no roles: who acts is a setting of the
-- connection, answered by the functions current_user_id() and has_permission() (crates/store/src/sqlite/functions.rs).
-- Ids are lower-case text, times UTC text with microseconds and Z (they sort); now() is the transaction's time.

-- 1. Users
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    username TEXT NOT NULL CHECK (length(username) <= 100) UNIQUE,
    email TEXT NOT NULL CHECK (length(email) <= 255) UNIQUE,
    password_hash TEXT NOT NULL CHECK (length(password_hash) <= 255),
    role TEXT NOT NULL DEFAULT 'user',
    status TEXT NOT NULL DEFAULT 'active',
    first_name TEXT CHECK (length(first_name) <= 100),
    last_name TEXT CHECK (length(last_name) <= 100),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    last_login TEXT CHECK (last_login GLOB '????-??-??T??:??:??.??????Z'),
    preferences TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(preferences)),
    CONSTRAINT chk_role CHECK (role IN ('admin', 'user', 'observer')),
    CONSTRAINT chk_status CHECK (status IN ('active', 'inactive', 'suspended'))
) STRICT;

CREATE TABLE role_permissions (
    role TEXT NOT NULL CONSTRAINT role_permissions_role_check CHECK (role IN ('admin', 'user', 'observer')),
    permission TEXT NOT NULL CHECK (length(permission) <= 100),
    PRIMARY KEY (role, permission)
) STRICT;
INSERT INTO role_permissions (role, permission) VALUES
    ('admin', '*'),
    ('user', 'sign_in'), ('user', 'task_create'), ('user', 'task_assign_own'), ('user', 'approval_decide_own'), ('user', 'watcher_create'),
    ('observer', 'sign_in'), ('observer', 'task_view_all'), ('observer', 'approval_view_all'), ('observer', 'log_view_all'), ('observer', 'watcher_view_all');

-- Agents are users that are programs. What only a person may do is refused to them, whatever their role.
CREATE TABLE agents (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    kind TEXT NOT NULL DEFAULT 'employee' CHECK (length(kind) <= 50),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
