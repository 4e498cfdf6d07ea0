SELECT {columns} FROM notification_channels ORDER BY channel COLLATE "C"
