UPDATE server_grants SET renewing_until = from_now($2) WHERE server_id = $1 AND (renewing_until IS NULL OR renewing_until < now())
