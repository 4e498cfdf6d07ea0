SELECT count(*) AS files, COALESCE(sum(size_bytes), 0)::bigint AS size_bytes FROM kept_files
