"""The Python face: a configuration by name, by path, as dictionaries, with fields changed."""

import pytest

import crowd_sim
from crowd_sim.errors import InputError

SMALL = {"crowd": {"n_workers": 6}, "tournament": {"rounds": 3, "n_groups": 2}, "valuation": {"kernel_shap_budget": 0}}


def test_a_configuration_may_be_a_name_or_dictionaries_and_is_changed_by_fields():
    fields = {"runs": 2, "crowd__n_workers": 6, "tournament__rounds": 3, "tournament__n_groups": 2}
    named = crowd_sim.run("quickstart", valuation__method="none", **fields)
    assert (named.config.runs, named.config.crowd.n_workers, named.history.points.shape) == (2, 6, (2, 6))
    given = crowd_sim.run(SMALL, runs=2)
    again = crowd_sim.run(crowd_sim.RunConfig.parse(SMALL), runs=2)
    assert given.history.points.tobytes() == again.history.points.tobytes()
    assert "runs" not in SMALL
    with pytest.raises(InputError, match="unknown key"):
        crowd_sim.run(SMALL, crowd__workers=3)


def test_an_outcome_prints_what_a_person_can_read():
    said = str(crowd_sim.run(SMALL, runs=2)).splitlines()
    assert said[0] == "2 runs of 6 workers (task vector)"
    assert any(line.startswith("  final_distance") and "±" in line for line in said)
    assert any("unknown  (0 of 2 runs)" in line for line in said)  # Kernel SHAP was left out
