-- Only in the place of the very one that was read: a grant that a person gave meanwhile stays.
UPDATE server_grants SET secret = $2, renewing_until = NULL WHERE server_id = $1 AND created_at = $3
