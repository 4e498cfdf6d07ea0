-- How much may go wrong with what a rule asks a person about; a yes to high risk needs somebody who has just shown who it is.
ALTER TABLE policies ADD COLUMN risk VARCHAR(10) NOT NULL DEFAULT 'normal' CONSTRAINT chk_policy_risk CHECK (risk IN ('low', 'normal', 'high'));
GRANT UPDATE (risk) ON policies TO app_user;
