UPDATE sessions SET last_accessed = used.at, expires_at = max(expires_at, used.ends)
FROM (SELECT i.value AS id, a.value AS at, d.value AS due, e.value AS ends
      FROM json_each($1) i JOIN json_each($2) a ON a.key = i.key JOIN json_each($3) d ON d.key = i.key
      JOIN json_each($4) e ON e.key = i.key) used
WHERE sessions.id = used.id AND NOT sessions.is_revoked AND sessions.last_accessed <= used.due
