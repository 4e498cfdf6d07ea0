SELECT channel AS id FROM notification_channels WHERE channel = $1 FOR UPDATE
