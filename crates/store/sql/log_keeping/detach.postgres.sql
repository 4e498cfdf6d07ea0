SELECT detach_log_month($1)
