DELETE FROM contacts WHERE address = $1
