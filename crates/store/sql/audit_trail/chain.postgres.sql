-- The rows are read as they stand: nothing of the database's own is trusted to make their text. OFFSET 0 keeps it to one
-- look into the key for each link, whatever the planner thinks of the limit.
SELECT c.seq, c.audit_id::text AS audit_id, c.previous_sha256, c.sha256, a.id, a.user_id, a.action, a.entity_type, a.entity_id,
    a.old_values, a.new_values, a.ip_address, a.user_agent, a.created_at
FROM (SELECT seq, audit_id, previous_sha256, sha256 FROM audit_chain WHERE seq > $1 ORDER BY seq LIMIT $2) c
LEFT JOIN LATERAL (
    SELECT t.id::text AS id, t.user_id::text AS user_id, t.action::text AS action, t.entity_type::text AS entity_type, t.entity_id::text AS entity_id,
        t.old_values::text AS old_values, t.new_values::text AS new_values, host(t.ip_address) AS ip_address, t.user_agent,
        to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at
    FROM audit_trail t WHERE t.id = c.audit_id OFFSET 0) a ON true
ORDER BY c.seq
