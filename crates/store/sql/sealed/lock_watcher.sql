SELECT id::text AS id FROM watchers WHERE id::text = $1 FOR UPDATE
