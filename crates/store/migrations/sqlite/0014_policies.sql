-- The rules a tool call meets before it runs: the first active row that matches, in order of position, decides;
-- where none matches, a person is asked.
CREATE TABLE policies (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36 AND id = lower(id)) DEFAULT
        (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))),
    position INTEGER NOT NULL,
    name TEXT NOT NULL CHECK (length(name) <= 100) UNIQUE,
    server TEXT NOT NULL DEFAULT '*' CHECK (length(server) <= 100),   -- glob over mcp_servers.name
    tool TEXT NOT NULL DEFAULT '*' CHECK (length(tool) <= 255),     -- glob over the tool's name; alternatives as {a,b}
    condition TEXT,                             -- CEL over args, task, outside; NULL holds always
    outside INTEGER NOT NULL DEFAULT 0 CHECK (outside IN (0, 1)),     -- an allowing rule reaches work on outside content only if true
    effect TEXT NOT NULL,
    approval_ttl_minutes INTEGER NOT NULL DEFAULT 1440,
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (now()) CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT NOT NULL DEFAULT (now()) CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    CONSTRAINT chk_policy_effect CHECK (effect IN ('allow', 'ask', 'deny')),
    CONSTRAINT chk_policy_ttl CHECK (approval_ttl_minutes BETWEEN 1 AND 525600),
    CONSTRAINT policies_position_check CHECK (position BETWEEN 1 AND 2147483647)
) STRICT;
CREATE INDEX idx_policies_position ON policies(position, id);
CREATE INDEX idx_policies_created_by ON policies(created_by);
CREATE TRIGGER trg_policies_updated_at AFTER UPDATE ON policies WHEN NEW.updated_at IS NOT now()
BEGIN UPDATE policies SET updated_at = now() WHERE id = NEW.id; END;
