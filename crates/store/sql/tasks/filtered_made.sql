-- One person's tasks, as far as the actor may see them, along the index that begins with that person.
SELECT {columns} FROM tasks
WHERE created_by = ANY(ARRAY[$7::uuid]) AND (created_at, id) < ($1, $2)
  AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR priority = $5) AND ($6::uuid IS NULL OR assigned_to = $6) AND ($8::text IS NULL OR $8 = ANY(tags))
  AND ($9::timestamptz IS NULL OR due_date >= $9) AND ($10::timestamptz IS NULL OR due_date < $10)
ORDER BY created_by, created_at DESC, id DESC LIMIT $3
