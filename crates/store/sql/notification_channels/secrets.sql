SELECT {columns} FROM notification_channels WHERE is_active ORDER BY channel COLLATE "C"
