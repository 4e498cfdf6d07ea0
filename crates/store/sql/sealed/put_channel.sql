UPDATE notification_channels SET secret = $2 WHERE channel = $1
