INSERT INTO approval_edits (approval_id, arguments, arguments_sha256, edited_by, created_at)
VALUES ($1, $2, $3, current_user_id(), now())
