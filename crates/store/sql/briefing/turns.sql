SELECT task_id, count(*) AS turns, CAST(sum(input_tokens + output_tokens) AS bigint) AS tokens,
    CAST(sum(cost_microusd) AS bigint) AS cost_microusd
FROM model_turns WHERE task_id = ANY($1) AND asked_at >= $2 AND asked_at < $3 GROUP BY task_id ORDER BY 4 DESC, 1 LIMIT $4
