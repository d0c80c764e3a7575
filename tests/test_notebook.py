"""What a notebook shows: tables of what `run`, `sweep` and `value` return, figures, and progress without widgets."""

import io

import numpy as np
import pytest

import crowd_sim
from crowd_sim.errors import InputError
from crowd_sim.progress import in_place

SMALL = {"runs": 2, "crowd__n_workers": 6, "tournament__rounds": 3, "valuation__kernel_shap_budget": 0}


def test_results_show_themselves():
    outcome = crowd_sim.run("quickstart", **SMALL)
    assert isinstance(outcome, crowd_sim.Outcome)
    frame = outcome.to_frame()
    assert len(frame) == 12
    assert {"run", "worker", "points", "value", "error", "rank_points", "rank_value", "gap"} <= set(frame.columns)
    np.testing.assert_array_equal(frame["value"], outcome.values.ravel())
    shown = outcome._repr_html_()
    assert shown.startswith("<p><b>2 runs of 6 workers")
    assert "<table" in shown
    assert "final_distance" in shown
    assert outcome.plot().axes
    swept = crowd_sim.sweep("quickstart", grid={"tournament.n_groups": [2, 3]}, **SMALL)
    assert "<b>2 points</b>" in swept._repr_html_()
    assert swept.to_frame() is swept.points
    assert swept.plot().axes
    values = crowd_sim.value(np.arange(12.0).reshape(6, 2), target=[1.0, 2.0], budget=100)
    assert "<table" in values._repr_html_()
    assert len(values.to_frame()) == 6


def test_what_was_not_valued_has_no_plot():
    outcome = crowd_sim.run("quickstart", valuation__method="none", **SMALL)
    assert "gap" not in outcome.to_frame()
    assert "<table" in outcome._repr_html_()
    with pytest.raises(InputError, match=r"valuation\.method"):
        outcome.plot()


def test_progress_is_a_line_that_is_written_over():
    stream = io.StringIO()
    with in_place(stream) as report:
        for done in range(101):
            report("rounds", done, 100)
        report("games", 1, 1, "exact")
    first, second, rest = stream.getvalue().split("\n")
    assert first.split("\r")[-1].startswith("rounds: 100% ████████████████████ 100 of 100")
    assert first.count("\r") < 50
    assert "games: 100%" in second
    assert rest == ""
