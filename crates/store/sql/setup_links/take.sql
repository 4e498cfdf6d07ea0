DELETE FROM setup_links WHERE token = $1 AND expires_at > now()
