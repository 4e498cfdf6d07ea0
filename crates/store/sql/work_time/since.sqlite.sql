SELECT COALESCE(sum(worked_ms), 0) AS worked_ms FROM work_time WHERE $1 = false OR day >= substr(now(), 1, 10)
