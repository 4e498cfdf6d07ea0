INSERT INTO model_spend AS s (day, model, turns, input_tokens, output_tokens, cost_microusd)
VALUES ((now() AT TIME ZONE 'UTC')::date, $1, 1, $2, $3, $4)
ON CONFLICT (day, model) DO UPDATE SET turns = s.turns + 1, input_tokens = s.input_tokens + excluded.input_tokens,
    output_tokens = s.output_tokens + excluded.output_tokens, cost_microusd = s.cost_microusd + excluded.cost_microusd
