-- What models are asked outside of work (a test, another model on what was done) counts towards the day: Steward itself adds it.
GRANT INSERT, UPDATE (turns, input_tokens, output_tokens, cost_microusd) ON model_spend TO app_service;
