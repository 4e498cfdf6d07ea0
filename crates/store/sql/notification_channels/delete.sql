DELETE FROM notification_channels WHERE channel = $1
