SELECT COALESCE(sum(turns), 0)::bigint, COALESCE(sum(input_tokens + output_tokens), 0)::bigint, COALESCE(sum(cost_microusd), 0)::bigint
FROM model_spend WHERE $1 = false OR day >= (now() AT TIME ZONE 'UTC')::date
