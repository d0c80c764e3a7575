"""Figures and the page of a run's or a sweep's folder, from its tables alone."""

from crowd_sim.report.figures import draw_run, draw_sweep
from crowd_sim.report.html import write_report

__all__ = ["draw_run", "draw_sweep", "write_report"]
