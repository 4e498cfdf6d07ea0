SELECT assign_task($1, $2, current_user_id())::text
