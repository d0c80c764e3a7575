"""Every defence has the same bytes in process, on two actors of which one dies between passes, and after stop and resume."""

from itertools import product

import pytest

from crowd_sim.host import InProcess
from tests.faults.watched import Watched
from tests.runs import config, simulated, written
from tests.saving import Kept

DEFENCES = {
    "reward": "calibrated",
    "bounds": [0.5, 4.5],
    "weight_power": 20,
    "measure_every": 4,
    "audits": 3,
    "calibration": {"window": 60, "half_life": 10.0, "errors": True},
}


def setup(aggregation, attack="alie"):
    own = {"crowd__bad": {"behaviour": attack, "share": 0.3}}
    own |= {f"tournament__{name}": value for name, value in (DEFENCES | {"aggregation": aggregation}).items()}
    return config("behaviour", 2, valuation__method="none", **own)


@pytest.mark.parametrize(
    ("name", "attack"),
    [
        *product(("mean", "median", "geometric_median"), ("alie", "min_max", "camouflage")),
        *product(("trimmed_mean", "centered_clipping", "multi_krum"), ("alie",)),
    ],
)
def test_stopped_and_resumed(name, attack, tmp_path):
    whole = Kept()
    expected = written(simulated(setup(name, attack), saving=whole), tmp_path / "whole")
    resumed = Kept(whole.rounds[6])
    assert written(simulated(setup(name, attack), InProcess(), resumed), tmp_path / "resumed") == expected
    assert len(resumed.rounds) == 6


def test_an_actor_that_dies_between_passes(local_ray, tmp_path):
    # calls of two shards: a round has some for what the attack knows, 16 for the geometric median, and 2 for audits
    dying = setup("geometric_median")
    expected = written(simulated(dying), tmp_path / "here")
    host = Watched(dying, [("crowd", "before", 61)])
    assert written(simulated(dying, host), tmp_path / "there") == expected
    assert host.kill == []
    assert host.measures.failures == {"death": 1}
