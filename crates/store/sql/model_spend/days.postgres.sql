SELECT to_char(day, 'YYYY-MM-DD') AS day, model, turns, input_tokens, output_tokens, cost_microusd
FROM model_spend WHERE day > (now() AT TIME ZONE 'UTC')::date - 30 ORDER BY model_spend.day, model LIMIT 3000
