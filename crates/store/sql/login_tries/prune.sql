DELETE FROM login_tries WHERE since < $1
