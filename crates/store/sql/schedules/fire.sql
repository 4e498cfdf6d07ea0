INSERT INTO schedule_fires (name, fire_at, started_at) VALUES ($1, $2, now()) ON CONFLICT (name, fire_at) DO NOTHING
