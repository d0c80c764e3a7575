"""A crowd from a DataFrame: who of 20 people was worth what to one of them, and who is overpaid by points."""

import numpy as np
import pandas as pd

import crowd_sim

ratings = np.random.default_rng(7).normal(3, 1, size=(21, 6))
people = pd.DataFrame(ratings, index=[f"p{i}" for i in range(21)], columns=list("abcdef"))
outcome = crowd_sim.run("quickstart", crowd=people, crowd__n_workers=20, runs=2, tournament__rounds=20)
workers = outcome.to_frame()
print(workers.sort_values("gap", ascending=False).head(3)[["run", "worker", "points", "value", "gap"]])
