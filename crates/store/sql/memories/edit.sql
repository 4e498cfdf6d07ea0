UPDATE memories SET content = $2, edited_at = now() WHERE id = $1
