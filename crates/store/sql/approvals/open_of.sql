-- How many open questions of a kind the actor has asked, counted no further than $2.
SELECT count(*) FROM (
    SELECT a.id FROM approvals a
    WHERE a.requested_by = current_user_id()::text AND a.status = 'pending' AND a.action_type = $1
      AND (a.expires_at IS NULL OR a.expires_at > now())
    LIMIT $2
) AS asked
