"""Aggregations: what a group's candidate moves towards, of what its members contribute. A file each.

An aggregation is called with the crowd and what a round asks of it, and returns float64[B, K, d + 1]: in the last column a
weight, 0 for a group that keeps the model, and before it that weight times the point. All but the mean have the weight 1.
"""

from __future__ import annotations

from crowd_sim.crowd.aggregation.base import Aggregation
from crowd_sim.crowd.aggregation.centered_clipping import CenteredClipping
from crowd_sim.crowd.aggregation.geometric_median import GeometricMedian
from crowd_sim.crowd.aggregation.mean import mean
from crowd_sim.crowd.aggregation.median import median
from crowd_sim.crowd.aggregation.multi_krum import MultiKrum
from crowd_sim.crowd.aggregation.trimmed_mean import TrimmedMean

__all__ = ["Aggregation", "aggregations", "mean"]


def aggregations(assumed_bad: float, radius: float) -> dict[str, Aggregation]:
    """All of them by name.

    Args:
        assumed_bad: share of a group's members that may be bad, below ½.
        radius: to which centered clipping cuts steps.
    """
    return {
        "mean": mean,
        "median": median,
        "trimmed_mean": TrimmedMean(assumed_bad),
        "geometric_median": GeometricMedian(),
        "centered_clipping": CenteredClipping(radius),
        "multi_krum": MultiKrum(assumed_bad),
    }
