-- The positions between which all rows of a time stand; rows of other times may stand there too.
SELECT min(c.seq) AS first, max(c.seq) AS last FROM audit_chain c JOIN audit_trail a ON a.id = c.audit_id
WHERE ($1::timestamptz IS NULL OR a.created_at >= $1) AND ($2::timestamptz IS NULL OR a.created_at < $2)
