SELECT day, model, turns, input_tokens, output_tokens, cost_microusd
FROM model_spend WHERE day > substr(from_now(-2592000000), 1, 10) ORDER BY day, model LIMIT 3000
