-- 5. MCP server configurations
CREATE TABLE mcp_servers (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(100) UNIQUE NOT NULL,
    server_type VARCHAR(50) NOT NULL,
    command TEXT NOT NULL,
    args TEXT[] NOT NULL DEFAULT '{}',
    environment JSONB,
    status VARCHAR(20) NOT NULL DEFAULT 'inactive',
    last_heartbeat TIMESTAMPTZ,
    capabilities TEXT[] NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    is_active BOOLEAN NOT NULL DEFAULT true,
    CONSTRAINT chk_server_status CHECK (status IN ('active', 'inactive', 'error'))
);
