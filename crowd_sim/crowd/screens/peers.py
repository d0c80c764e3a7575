"""Screen `peers`: whose preferences are not what everyone else's would lead to expect."""

from __future__ import annotations

from crowd_sim.crowd.screens.disagreement import disagreement
from crowd_sim.crowd.screens.rule import Screen, outlying

PEERS = Screen(disagreement, outlying(0.15))
"""The share of its pairs that a reward fitted to all others' orders otherwise; flagged where it stands out of the crowd."""
