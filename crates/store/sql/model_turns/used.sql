SELECT count(*), CAST(COALESCE(sum(input_tokens + output_tokens), 0) AS bigint), CAST(COALESCE(sum(cost_microusd), 0) AS bigint)
FROM model_turns WHERE task_id = $1
