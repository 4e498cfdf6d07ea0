-- The rules a tool call meets before it runs: the first active row that matches, in order of position, decides;
-- where none matches, a person is asked.
CREATE TABLE policies (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    position INTEGER NOT NULL CHECK (position > 0),
    name VARCHAR(100) NOT NULL UNIQUE,
    server VARCHAR(100) NOT NULL DEFAULT '*',   -- glob over mcp_servers.name
    tool VARCHAR(255) NOT NULL DEFAULT '*',     -- glob over the tool's name; alternatives as {a,b}
    condition TEXT,                             -- CEL over args, task, outside; NULL holds always
    outside BOOLEAN NOT NULL DEFAULT false,     -- an allowing rule reaches work on outside content only if true
    effect VARCHAR(20) NOT NULL,
    approval_ttl_minutes INTEGER NOT NULL DEFAULT 1440,
    is_active BOOLEAN NOT NULL DEFAULT true,
    created_by UUID REFERENCES users(id) ON DELETE SET NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT chk_policy_effect CHECK (effect IN ('allow', 'ask', 'deny')),
    CONSTRAINT chk_policy_ttl CHECK (approval_ttl_minutes BETWEEN 1 AND 525600)
);
CREATE INDEX idx_policies_position ON policies(position, id);
CREATE INDEX idx_policies_created_by ON policies(created_by);
CREATE TRIGGER trg_policies_updated_at BEFORE UPDATE ON policies FOR EACH ROW EXECUTE FUNCTION set_updated_at();
