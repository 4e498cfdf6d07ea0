SELECT secret FROM push_keys WHERE id = 1
