"""Payment after the rounds: rules, division of a budget, merged identities, fairness, and the effort that rules call for."""

from crowd_sim.payment.division import divide, raised
from crowd_sim.payment.merging import merged

__all__ = ["divide", "merged", "raised"]
