SELECT {columns} FROM approvals WHERE id = $1 FOR UPDATE
