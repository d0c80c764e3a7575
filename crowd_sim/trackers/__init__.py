"""Trackers of experiments: they are told of runs, sweeps and searches, and change nothing of them."""

from crowd_sim.trackers.base import Tracker
from crowd_sim.trackers.by_name import TRACKERS, Named, tracker_of
from crowd_sim.trackers.watch import Watch

__all__ = ["TRACKERS", "Named", "Tracker", "Watch", "tracker_of"]
