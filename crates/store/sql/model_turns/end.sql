UPDATE model_turns SET state = $2, served_by = $3, answer = $4, input_tokens = $5, cached_tokens = $6, output_tokens = $7,
    cost_microusd = $8, error = $9, answered_at = now()
WHERE id = $1 AND state = 'asked'
