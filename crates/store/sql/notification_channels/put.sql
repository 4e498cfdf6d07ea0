INSERT INTO notification_channels (channel, config, secret, is_active) VALUES ($1, $2, $3, true)
ON CONFLICT (channel) DO UPDATE SET config = $2, secret = $3, is_active = true
