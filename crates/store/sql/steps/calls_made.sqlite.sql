-- Everybody's calls: counts name no task. There is one writer, so that nothing starts between the count and the start.
SELECT server, tool, count(*) AS made FROM main.steps
WHERE started_at > from_now(-$1 * 60000) AND has_permission(current_user_id(), 'sign_in') GROUP BY server, tool
