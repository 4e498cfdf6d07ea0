SELECT cleanup_expired_sessions()::bigint
