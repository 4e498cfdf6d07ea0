UPDATE approvals SET status = 'expired' WHERE status = 'pending' AND expires_at <= now() RETURNING id
