-- Whoever may decide an approval may give it more time: while it is open, later than it stands, at most 30 days from now.
CREATE TRIGGER trg_approvals_extend BEFORE UPDATE OF expires_at ON approvals
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_final') WHERE OLD.status <> 'pending';
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_not_expired') WHERE OLD.expires_at <= now();
    SELECT RAISE(ABORT, 'CHECK constraint failed: chk_approval_extension')
    WHERE (NEW.expires_at > OLD.expires_at AND NEW.expires_at <= from_now(2592000000)) IS NOT TRUE;
END;
