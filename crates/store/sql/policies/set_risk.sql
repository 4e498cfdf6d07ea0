UPDATE policies SET risk = $2 WHERE id = $1
