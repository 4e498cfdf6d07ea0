SELECT COALESCE(sum(turns), 0), COALESCE(sum(input_tokens + output_tokens), 0), COALESCE(sum(cost_microusd), 0)
FROM model_spend WHERE $1 = false OR day >= substr(now(), 1, 10)
