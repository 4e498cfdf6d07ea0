-- A file is taken off a task by whoever may change the task, and one that hangs on none by whoever brought it. What the vault
-- keeps of it goes as everything that no row names.
CREATE POLICY file_attachments_remove ON file_attachments FOR DELETE TO app_user USING (
    (SELECT permissions && ARRAY['*', 'task_create'] AS is_allowed FROM my_rights)
    AND (task_id IS NULL AND uploaded_by = (SELECT current_user_id())
         OR EXISTS (SELECT 1 FROM tasks t WHERE t.id = file_attachments.task_id
                    AND (t.created_by = (SELECT current_user_id()) OR t.assigned_to = (SELECT current_user_id())
                         OR (SELECT permissions && ARRAY['*', 'task_admin'] AS is_allowed FROM my_rights)) OFFSET 0)));
GRANT DELETE ON file_attachments TO app_user;
