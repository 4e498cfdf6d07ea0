UPDATE users SET last_login = now() WHERE id = $1
