"""What bad workers cost: a sweep over their share, of one attack."""

import crowd_sim

bad = {"behaviour": "corner", "share": 0.2}
swept = crowd_sim.sweep(
    {"crowd": {"n_workers": 20, "bad": bad}, "tournament": {"rounds": 20}, "valuation": {"method": "none"}, "runs": 3},
    grid={"crowd.bad.share": [0.1, 0.3, 0.5]},
)
print(swept.points[["crowd.bad.share", "final_distance_mean"]])
