SELECT COALESCE(sum(worked_ms), 0)::bigint AS worked_ms FROM work_time WHERE $1 = false OR day >= (now() AT TIME ZONE 'UTC')::date
