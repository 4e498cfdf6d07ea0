-- 5. MCP server configurations
CREATE TABLE mcp_servers (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    name TEXT NOT NULL CHECK (length(name) <= 100) UNIQUE,
    server_type TEXT NOT NULL CHECK (length(server_type) <= 50),
    command TEXT NOT NULL,
    args TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(args) AND json_type(args) = 'array'),
    environment TEXT CHECK (json_valid(environment)),
    status TEXT NOT NULL DEFAULT 'inactive',
    last_heartbeat TEXT CHECK (last_heartbeat GLOB '????-??-??T??:??:??.??????Z'),
    capabilities TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(capabilities) AND json_type(capabilities) = 'array'),
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    CONSTRAINT chk_server_status CHECK (status IN ('active', 'inactive', 'error'))
) STRICT;
