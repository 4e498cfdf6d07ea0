UPDATE steps SET state = 'started', attempt = $2, started_at = now(), arguments = $3, arguments_sha256 = $4
WHERE id = $1 AND state IN ('planned', 'awaiting_approval', 'allowed', 'outcome_unknown')
