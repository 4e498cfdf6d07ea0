SELECT drain_log_default()
