SELECT model, CAST(sum(turns) AS bigint) AS turns, CAST(sum(input_tokens) AS bigint) AS input_tokens,
    CAST(sum(output_tokens) AS bigint) AS output_tokens, CAST(sum(cost_microusd) AS bigint) AS cost_microusd
FROM model_spend GROUP BY model ORDER BY model LIMIT 200
