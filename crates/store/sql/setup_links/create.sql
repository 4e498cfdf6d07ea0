INSERT INTO setup_links (token, expires_at, created_at) VALUES ($1, $2, now())
