SELECT arguments FROM approval_edits WHERE approval_id = $1
