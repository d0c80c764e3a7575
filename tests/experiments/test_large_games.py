import sys

import numpy as np
import pytest

from experiments.bench import large_games
from experiments.bench.large_games import KINDS, make_rivals, measure, method_of, rivals
from experiments.bench.real_games import by_family, read_rivals

# what stands for shapiq: methods that ask for the players alone and together, or know no budget below 10
FAKE = """
import runpy
import sys
from importlib import metadata

metadata.version = lambda name: "9.9"
real = runpy.run_path

class Alone:
    def __init__(self, n): self.n = n
    def approximate(self, budget, game):
        import numpy as np
        print("what a library prints")
        if budget < 10: raise ValueError("few")
        self.found = game(np.eye(self.n, dtype=bool)) - game(np.zeros(self.n, dtype=bool))
        self.found += 0.0  # what was answered may be written to
        return self
    def get_n_order_values(self, order): return self.found

runpy.run_path = lambda path: {"ap": None, "METHODS": {name: lambda n, seed: Alone(n) for name in NAMES}}
sys.argv = [SCRIPT]
real(SCRIPT, run_name="__main__")
"""


@pytest.fixture
def python(tmp_path):
    """An "interpreter with shapiq"."""
    names = [method_of(name, 10, 100) for name in large_games._METHODS]
    fake = FAKE.replace("NAMES", repr(names)).replace("SCRIPT", repr(str(large_games._SCRIPT)))
    (tmp_path / "fake.py").write_text(fake)
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/fake.py\n")
    path.chmod(0o755)
    return path


class Additive:
    n_players = 12

    def __call__(self, coalitions):
        return coalitions @ np.arange(12.0) + 1


def test_another_process_values_a_game_of_this_one(python):
    with rivals(python) as (version, value):
        assert version == "9.9"
        np.testing.assert_allclose(value("SVARM", Additive(), 60, 0), np.arange(12.0))
        assert value("SVARM", Additive(), 9, 0) is None
        np.testing.assert_allclose(value("OddSHAP", Additive(), 60, 1), np.arange(12.0))
    with pytest.raises(SystemExit, match="none: No such file"), rivals(python.with_name("none")):
        pass


def test_a_file_keeps_the_rows_of_other_kinds_and_budgets(python, tmp_path):
    file = tmp_path / "rivals.csv"
    kinds = {name: (lambda games: iter([(Additive(), np.arange(12.0))] * games)) for name in ("a", "b")}
    make_rivals(python, kinds, 2, (5, 20), file)
    first = read_rivals(file)
    assert len(first) == 2 * 2 * 2
    assert {len(row) for row in first.values()} == {len(large_games._METHODS)}
    make_rivals(python, {"a": kinds["a"]}, 1, (5,), file)
    assert set(first) - set(read_rivals(file)) == {("a", "1", 5, 0)}
    cases = list(measure(kinds, 1, (5,)))
    assert [case.error < 1e-12 for case in cases] == [True, True]
    assert by_family(cases, first).splitlines()[2].startswith("| a | 1.00 (")


def test_polyshap_has_as_many_terms_as_can_be_fitted():
    assert method_of("PolySHAP", 30, 3000) == "PolySHAP, 3"
    assert method_of("PolySHAP", 54, 5400) == "PolySHAP, 2"
    assert method_of("PolySHAP", 100, 2000) == "PolySHAP, 2"
    assert method_of("PolySHAP", 100, 10_000) is None
    assert method_of("SVARM", 100, 10_000) == "SVARM"


@pytest.mark.parametrize("kind", [name for name in KINDS if "trees" not in name and "forest" not in name])
def test_values_of_a_kind_sum_up(kind):
    game, truth = next(iter(KINDS[kind](1)))
    ends = np.zeros((2, game.n_players), dtype=bool)
    ends[1] = True
    nothing, everything = game(ends)
    assert truth.sum() == pytest.approx(everything - nothing, rel=1e-9)
