SELECT ensure_log_partitions(current_date, (current_date + interval '3 months')::date)::bigint
