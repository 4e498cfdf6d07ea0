-- Months are dropped whole here; what stays is the question whether one may.
SELECT drop_log_month('', 0) WHERE false AND $1::uuid[] IS NULL AND $2::timestamptz IS NULL AND $3::timestamptz IS NULL
