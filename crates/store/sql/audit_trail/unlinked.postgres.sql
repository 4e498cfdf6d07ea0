-- Rows that no link covers, oldest first, in the form of a link that is none yet.
SELECT 0::bigint AS seq, a.id::text AS audit_id, ''::text AS previous_sha256, ''::text AS sha256, a.id::text AS id, a.user_id::text AS user_id,
    a.action::text AS action, a.entity_type::text AS entity_type, a.entity_id::text AS entity_id, a.old_values::text AS old_values,
    a.new_values::text AS new_values, host(a.ip_address) AS ip_address, a.user_agent,
    to_char(a.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at
FROM audit_trail a WHERE NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.audit_id = a.id) ORDER BY a.created_at, a.id LIMIT $1
