SELECT {columns} FROM notification_outbox WHERE notification_id = ANY($1) ORDER BY notification_id
