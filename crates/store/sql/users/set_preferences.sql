UPDATE users SET preferences = $2 WHERE id = $1
