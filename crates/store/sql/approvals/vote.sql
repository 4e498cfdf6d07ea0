INSERT INTO approval_votes (approval_id, user_id, note, created_at)
VALUES ($1, current_user_id(), $2, now())
