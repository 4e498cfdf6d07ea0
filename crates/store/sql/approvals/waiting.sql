-- How many open approvals the actor may see, counted no further than $1: whether one may be seen is asked of each that is
-- open, of which there are few, and not of all of one's tasks, of which there may be many.
SELECT count(*) FROM (
    SELECT a.id FROM approvals a
    WHERE a.status = 'pending' AND (a.expires_at IS NULL OR a.expires_at > now())
    LIMIT $1
) AS seen
