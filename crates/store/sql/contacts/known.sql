SELECT address FROM contacts WHERE address = ANY($1)
