SELECT refresh_statistics()::bigint
