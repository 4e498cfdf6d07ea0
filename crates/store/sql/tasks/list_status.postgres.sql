-- Own tasks, made and assigned, and everybody's for those who may see them: walks along an index in the order of the
-- page, merged. What an earlier walk answers too is left out after the limit, so that no walk is longer than a page.
-- Each says its order where it is merged, or PostgreSQL sorts it again; everybody's are behind a function, because only
-- a few may see them and a plan is opened as a whole each time.
-- Whose they are is looked for as one of a list of one, and leads the order: so only an index that begins with it can
-- serve, whatever the planner believes of how many rows are whose. A plan made while the one who owns nearly everything
-- was asking would else walk everybody's by time, and so for all who come after.
SELECT {columns} FROM (
    SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE created_by = ANY(ARRAY[(SELECT current_user_id())]) AND status = $4 AND (created_at, id) < ($1, $2)
        ORDER BY created_by, created_at DESC, id DESC LIMIT $3
    ) AS made
    UNION ALL
    (SELECT {columns} FROM (
        SELECT {columns} FROM tasks
        WHERE assigned_to = ANY(ARRAY[(SELECT current_user_id())]) AND status = $4 AND (created_at, id) < ($1, $2)
        ORDER BY assigned_to, created_at DESC, id DESC LIMIT $3
    ) AS assigned
    WHERE (created_by = current_user_id()) IS NOT TRUE
    ORDER BY created_at DESC, id DESC)
    UNION ALL
    (SELECT {columns} FROM tasks_of_everybody_of($4, $1, $2, $3) AS others
    WHERE (created_by = current_user_id() OR assigned_to = current_user_id()) IS NOT TRUE
    ORDER BY created_at DESC, id DESC)
) AS seen
ORDER BY created_at DESC, id DESC LIMIT $3
