INSERT INTO model_spend (day, model, turns, input_tokens, output_tokens, cost_microusd)
VALUES (substr(now(), 1, 10), $1, 1, $2, $3, $4)
ON CONFLICT (day, model) DO UPDATE SET turns = turns + 1, input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens, cost_microusd = cost_microusd + excluded.cost_microusd
