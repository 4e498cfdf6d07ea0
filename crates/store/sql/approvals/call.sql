SELECT {columns:c}, e.arguments AS edited_arguments, e.arguments_sha256 AS edited_sha256
FROM approval_calls c LEFT JOIN approval_edits e ON e.approval_id = c.approval_id WHERE c.approval_id = $1
