"""Who contributes: `population.Population`, where it comes from, who takes part, and the shards that hold it."""
