SELECT drop_log_month($1, $2)
