UPDATE playbooks SET is_on = $2, switched_at = now() WHERE name = $1
