-- Months are no tables here.
SELECT 0 FROM (SELECT $1, $2)
