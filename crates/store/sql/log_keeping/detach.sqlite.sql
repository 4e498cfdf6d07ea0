-- Lines of an old month are exported and deleted where they are.
SELECT false FROM (SELECT $1)
