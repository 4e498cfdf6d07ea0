INSERT INTO contacts (address, name, created_by, created_at)
VALUES ($1, $2, current_user_id(), now())
