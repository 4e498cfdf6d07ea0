SELECT (SELECT count(*) FROM audit_trail), (SELECT count(*) FROM audit_chain)
