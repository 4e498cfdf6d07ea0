INSERT INTO server_tools (server_id, name, description, input_schema, definition_sha256, first_seen, last_seen)
VALUES ($1, $2, $3, $4, $5, now(), now())
ON CONFLICT (server_id, name) DO UPDATE SET description = EXCLUDED.description, input_schema = EXCLUDED.input_schema,
    definition_sha256 = EXCLUDED.definition_sha256, is_offered = true, last_seen = EXCLUDED.last_seen
