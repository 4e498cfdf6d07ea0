UPDATE server_tools SET approved_sha256 = definition_sha256, approved_by = current_user_id(), approved_at = now(), repeatable = $4
WHERE server_id = $1 AND name = $2 AND definition_sha256 = $3
