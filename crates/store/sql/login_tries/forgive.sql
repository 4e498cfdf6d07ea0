UPDATE login_tries SET tries = tries - 1 WHERE key = ANY($1) AND tries > 0
