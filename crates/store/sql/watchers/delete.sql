DELETE FROM watchers WHERE id = $1
