UPDATE watchers SET config = jsonb_set(config, '{credentials}', $2::jsonb) WHERE id::text = $1
