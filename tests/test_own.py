"""Groupings, scores and rewards of one's own: what they raise or return amiss is named, wherever they are called."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from crowd_sim.errors import InputError, StrategyError
from crowd_sim.registry import resolve
from crowd_sim.tournament.grouping import random
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.streams import RoundStreams
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, check_line

K, POINTS = 3, np.ones((2, 4))
DRAWS = RoundStreams(np.zeros(2, dtype=np.uint64), np.arange(2, dtype=np.uint64), 5)
GROUPS = np.array([[0, 1, 2, 0], [2, 1, 0, 0]])
X, TARGET = np.zeros((2, K, 6)), np.zeros((2, 1, 6))
MINE = {}


def answer(*arguments):
    given = MINE["given"]
    return given(*arguments) if callable(given) else given


ARGUMENTS = {
    "grouping": (POINTS, K, DRAWS, 10),
    "score": (X, TARGET),
    "reward": (POINTS, {}, SimpleNamespace(round=5)),
}


def called(kind, given):
    MINE["given"] = given
    return resolve(kind, "tests.test_own:answer")(*ARGUMENTS[kind])


ALLOWED = {
    "grouping": "must return for every worker its group, integers 0 to 2 of shape (2, 4)",
    "score": "must return finite numbers of shape (2, 3)",
    "reward": "must return finite numbers of shape (2, 4)",
}


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("grouping", GROUPS + 1, "returned the group 3 in round 5"),
        ("grouping", GROUPS - 1, "returned the group -1 in round 5"),
        ("grouping", GROUPS[:, :-1], "returned an array of shape (2, 3) in round 5"),
        ("grouping", GROUPS[0], "returned an array of shape (4,) in round 5"),
        ("grouping", GROUPS * 1.0, "returned an array of float64 in round 5"),
        ("grouping", [[0], [0, 1]], "returned list in round 5"),
        ("grouping", None, "returned NoneType in round 5"),
        ("score", np.full((2, K), np.nan), "returned a number that is not finite"),
        ("score", np.full((2, K), np.inf), "returned a number that is not finite"),
        ("score", np.zeros(2), "returned an array of shape (2,)"),
        ("score", 1.0, "returned an array of shape ()"),
        ("score", "high", "returned str"),
        ("reward", (POINTS * np.nan, None), "returned points that are not finite in round 5"),
        ("reward", (POINTS[0], None), "returned an array of shape (4,) in round 5"),
        ("reward", (None, None), "returned NoneType in round 5"),
    ],
)
def test_what_is_returned_amiss_is_refused(kind, given, says):
    with pytest.raises(InputError) as caught:
        called(kind, given)
    assert str(caught.value) == f"tournament.{kind} = 'tests.test_own:answer': {says}; {ALLOWED[kind]}"


def test_a_reward_that_forgets_what_to_remember_is_refused():
    with pytest.raises(
        InputError, match=r"returned an array of float64 in round 5; must return a pair: the new points"
    ):
        called("reward", POINTS)


@pytest.mark.parametrize(("kind", "where"), [("grouping", " (round 5)"), ("score", ""), ("reward", " (round 5)")])
def test_what_is_raised_is_told_with_its_place_and_traceback(kind, where):
    def buggy(*_):
        return {}["nobody"]

    with pytest.raises(StrategyError) as caught:
        called(kind, buggy)
    assert str(caught.value) == f"tournament.{kind} = 'tests.test_own:answer' failed{where}: KeyError('nobody')"
    assert "in buggy\n" in caught.value.trace


def test_what_is_right_is_taken():
    assert called("grouping", GROUPS.astype(np.uint8)).of_everyone().dtype == np.int64
    for given in (GROUPS.tolist(), Groups(GROUPS)):
        assert called("grouping", given).of_everyone().tolist() == GROUPS.tolist()
    assert called("grouping", random).of_everyone().tolist() == random(POINTS, K, DRAWS, 10).of_everyone().tolist()
    assert called("score", np.ones((2, K), dtype=np.float32)).tolist() == [[1.0] * K] * 2
    points, memory = called(
        "reward", [POINTS + 1, {"streak": POINTS, "seen": 3, "rows": [[1, 2]], "big-endian": POINTS.astype(">f4")}]
    )
    assert points.tolist() == (POINTS + 1).tolist()
    assert {name: array.tolist() for name, array in memory.items()} == {
        "streak": POINTS.tolist(),
        "seen": 3,
        "rows": [[1, 2]],
        "big-endian": POINTS.tolist(),
    }
    assert memory["big-endian"].dtype == "<f4"
    assert called("reward", (POINTS, None))[1] == {}


@pytest.mark.parametrize(
    ("remembered", "says"),
    [
        ("all of it", "returned str to remember in round 5"),
        (POINTS, "returned an array of float64 to remember in round 5"),
        (SimpleNamespace(), "returned SimpleNamespace to remember in round 5"),
        ({"who": "anna"}, "returned str named 'who' to remember in round 5"),
        ({"who": np.array([object()])}, "returned an array of object named 'who' to remember in round 5"),
        ({"when": np.zeros(2, "M8[s]")}, "returned an array of datetime64[s] named 'when' to remember in round 5"),
        ({"z": 1j}, "returned complex named 'z' to remember in round 5"),
        ({"huge": 2**70}, "returned int named 'huge' to remember in round 5"),
        ({"rows": [[1], [1, 2]]}, "returned list named 'rows' to remember in round 5"),
        ({"nested": {"x": 1}}, "returned dict named 'nested' to remember in round 5"),
        ({1: 2}, "returned int named 1 to remember in round 5"),
        ({"a/b": 2}, "returned int named 'a/b' to remember in round 5"),
    ],
)
def test_what_cannot_be_kept_as_data_cannot_be_remembered(remembered, says):
    with pytest.raises(InputError) as caught:
        called("reward", (POINTS, remembered))
    must = "what to remember must be None, or arrays and numbers by name"
    assert str(caught.value) == f"tournament.reward = 'tests.test_own:answer': {says}; {must}"


def test_outputs_of_a_model_that_has_diverged_have_no_score():
    MINE["given"] = lambda x, _: x.sum(axis=-1)
    score = resolve("score", "tests.test_own:answer")
    assert np.isnan(score(np.array([[0.0, 1.0], [0.0, np.nan]]), np.zeros(2))).tolist() == [False, True]


def test_strategies_of_ones_own_travel():
    MINE["given"] = GROUPS
    again = pickle.loads(pickle.dumps(resolve("grouping", "tests.test_own:answer")))
    assert again(*ARGUMENTS["grouping"]).of_everyone().tolist() == GROUPS.tolist()


MODULE = """
import numpy as np
from crowd_sim.tournament import grouping as g
def off_by_one(points, n_groups, draws, rounds):
    return g.random(points, n_groups, draws, rounds).of_everyone() + 1
def raising(*_):
    raise ValueError("mine")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of one's own and a configuration, in the folder one works in; the module's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{tmp_path.name}_mine.py").write_text(MODULE)
    (tmp_path / "c.yaml").write_text(CONFIGURATION)
    (tmp_path / "s.yaml").write_text(SWEEP.replace("score: dot}", "score: l2}"))
    return f"{tmp_path.name}_mine"


def test_groups_out_of_bounds_end_a_run_in_one_line(mine, capsys):
    assert call(["run", "c.yaml", f"tournament.grouping={mine}:off_by_one", *IN_PROCESS]) == 2
    says = (f"tournament.grouping = '{mine}:off_by_one'", "returned the group 2 in round 1", "integers 0 to 1")
    check_line(capsys.readouterr().err, says)


@pytest.mark.parametrize("kind", ["grouping", "score", "reward"])
def test_a_bug_ends_a_run_in_its_traceback_and_one_line(mine, capsys, kind):
    assert call(["run", "c.yaml", f"tournament.{kind}={mine}:raising", *IN_PROCESS]) == 1
    *trace, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"crowd-sim: tournament.{kind} = '{mine}:raising' failed")
    assert trace[-1] == "ValueError: mine"
