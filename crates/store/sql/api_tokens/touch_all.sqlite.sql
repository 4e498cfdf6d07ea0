UPDATE api_tokens SET last_used_at = used.at
FROM (SELECT i.value AS id, a.value AS at, d.value AS due
      FROM json_each($1) i JOIN json_each($2) a ON a.key = i.key JOIN json_each($3) d ON d.key = i.key) used
WHERE api_tokens.id = used.id AND api_tokens.revoked_at IS NULL AND (api_tokens.last_used_at IS NULL OR api_tokens.last_used_at <= used.due)
