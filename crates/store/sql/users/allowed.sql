SELECT has_permission(current_user_id(), $1)
