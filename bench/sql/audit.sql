-- The audit trail of tasks {from} to {to} of the load, in order. The chain's own trigger links the rows when this commits.
INSERT INTO audit_trail (id, user_id, action, entity_type, entity_id, new_values, created_at)
SELECT gen_random_uuid(), t.created_by, 'task_created', 'task', t.id, jsonb_build_object('id', t.id, 'title', t.title, 'status', 'pending', 'priority', t.priority), t.created_at
FROM tasks t WHERE t.id > (lpad(to_hex(1700000000000 + {from} * 1000), 12, '0') || '70008000' || lpad(to_hex({from}), 12, '0'))::uuid
  AND t.id <= (lpad(to_hex(1700000000000 + {to} * 1000), 12, '0') || '70008000' || lpad(to_hex({to}), 12, '0'))::uuid
ORDER BY t.id;
