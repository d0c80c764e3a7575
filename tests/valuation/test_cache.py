import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, CachedGame, MaxEvaluations, shapley

N = 11
RECORD = 2 + 8 + 4  # packed coalition, utility, checksum


class Slow:
    """A game that takes its time, and writes one line for each coalition it is done with."""

    def __init__(self, n_players, journal, seconds=0.0):
        self.n_players = n_players
        self.journal = journal
        self.seconds = seconds

    def __call__(self, coalitions):
        out = np.empty(len(coalitions))
        for m, row in enumerate(coalitions):
            time.sleep(self.seconds)
            out[m] = utility(row)
            with Path(self.journal).open("a") as file:
                file.write(np.packbits(row).tobytes().hex() + "\n")
        return out


def utility(row):
    return float(np.sin(np.flatnonzero(row) + 0.5).sum() ** 2)


def journal(path):
    return path.read_text().split() if path.exists() else []


def all_coalitions(n=N):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def expected(rows):
    return np.array([utility(row) for row in rows])


@pytest.fixture
def cached(tmp_path):
    def make(seconds=0.0, fingerprint="a game", n=N):
        return CachedGame(Slow(n, tmp_path / "journal", seconds), tmp_path / "cache", fingerprint)

    return make


def logs(tmp_path):
    return sorted((tmp_path / "cache").glob("*/*.log"))


def test_a_restart_repeats_no_evaluation(cached, tmp_path):
    rows = all_coalitions()
    assert cached()(rows[:500]).tobytes() == expected(rows[:500]).tobytes()
    assert len(journal(tmp_path / "journal")) == 500
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert cached()(rows[::-1]).tobytes() == expected(rows[::-1]).tobytes()
    assert len(journal(tmp_path / "journal")) == len(rows)
    assert len(logs(tmp_path)) == 2


def test_the_same_coalition_twice_in_a_call_is_evaluated_once(cached, tmp_path):
    rows = all_coalitions()[[5, 9, 5, 5, 9]]
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert len(journal(tmp_path / "journal")) == 2
    assert cached()(rows[:0]).shape == (0,)


def test_a_valuation_on_a_warm_cache_has_the_same_bits(cached, tmp_path):
    cold = shapley(cached(), "permutation", 400)
    calls = len(journal(tmp_path / "journal"))
    warm = shapley(cached(), "permutation", 400)
    assert warm.values.tobytes() == cold.values.tobytes()
    assert len(journal(tmp_path / "journal")) == calls
    further = shapley(cached(), "permutation", 800, stop=MaxEvaluations(800))
    assert len(journal(tmp_path / "journal")) == further.n_evaluations


def test_fingerprints_keep_games_apart(cached, tmp_path):
    rows = all_coalitions()[:50]
    cached()(rows)
    cached(fingerprint="another game")(rows)
    assert len(journal(tmp_path / "journal")) == 100
    cached(n=N - 1)(rows[:, :-1])
    assert len(journal(tmp_path / "journal")) == 150


def test_the_log_of_another_game_is_ignored(cached, tmp_path):
    rows = all_coalitions()[:50]
    cached(fingerprint="another game")(rows)
    (other,) = logs(tmp_path)
    game = cached()
    (mine,) = set((tmp_path / "cache").iterdir()) - {other.parent}
    other.rename(mine / other.name)
    game(rows)
    assert len(journal(tmp_path / "journal")) == 100


def test_damaged_records_are_evaluated_anew_and_no_others(cached, tmp_path):
    rows = all_coalitions()[:300]
    cached()(rows)
    (log,) = logs(tmp_path)
    content = bytearray(log.read_bytes())
    assert len(content) == 300 * RECORD
    content[10 * RECORD + 5] ^= 1  # a bit of a utility
    content[20 * RECORD] ^= 128  # a player of a coalition
    content[30 * RECORD - 1] ^= 1  # a checksum
    content[40 * RECORD : 45 * RECORD] = bytes(5 * RECORD)  # a hole
    log.write_bytes(content[:-5])  # torn
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert len(journal(tmp_path / "journal")) == 300 + 9
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert len(journal(tmp_path / "journal")) == 300 + 9


@pytest.mark.parametrize("content", [b"", b"x", b"not a log at all, but quite a long text\n" * 50])
def test_rubbish_in_the_folder_is_ignored(cached, tmp_path, content):
    rows = all_coalitions()[:60]
    cached()(rows[:30])
    (log,) = logs(tmp_path)
    (log.parent / "zzz.log").write_bytes(content)
    (log.parent / "notes.txt").write_bytes(content)
    (log.parent / "folder.log").mkdir()
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert len(journal(tmp_path / "journal")) == 60


def test_a_log_that_goes_away_is_not_missed(cached, tmp_path):
    rows = all_coalitions()[:60]
    game = cached()
    game(rows)
    for log in logs(tmp_path):
        log.unlink()
    assert game(rows).tobytes() == expected(rows).tobytes()
    assert len(journal(tmp_path / "journal")) == 60
    cached()(rows)
    assert len(journal(tmp_path / "journal")) == 120


def test_two_games_in_turn_see_each_other_s_utilities(cached, tmp_path):
    rows = all_coalitions()[:200]
    one, other = cached(), cached()
    for start in range(0, 200, 20):
        for game in (one, other):
            assert game(rows[start : start + 20]).tobytes() == expected(rows[start : start + 20]).tobytes()
    assert len(journal(tmp_path / "journal")) == 200


def test_it_can_be_pickled_before_and_after_its_first_call(cached, tmp_path, monkeypatch):
    rows = all_coalitions()[:40]
    game = cached()
    before = pickle.loads(pickle.dumps(game))
    game(rows)
    after = pickle.loads(pickle.dumps(game))
    monkeypatch.chdir("/")
    for copy in (before, after):
        assert copy(rows).tobytes() == expected(rows).tobytes()
        assert copy.n_players == N
    assert len(journal(tmp_path / "journal")) == 40


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    game = CachedGame(Slow(N, tmp_path / "journal"), "cache", "a game")
    monkeypatch.chdir("/")
    game(all_coalitions()[:3])
    assert len(logs(tmp_path)) == 1


def test_an_error_in_the_game_keeps_what_was_stored_before(cached, tmp_path):
    class Fails(Slow):
        def __call__(self, coalitions):
            if len(journal(self.journal)) >= 5:  # the first calls are of 1 and of at most 4 coalitions
                raise ZeroDivisionError
            return super().__call__(coalitions)

    rows = all_coalitions()[:60]
    with pytest.raises(ZeroDivisionError):
        CachedGame(Fails(N, tmp_path / "journal"), tmp_path / "cache", "a game")(rows)
    assert 5 <= len(journal(tmp_path / "journal")) < 60
    cached()(rows)
    assert len(journal(tmp_path / "journal")) == 60


def test_a_utility_that_is_not_finite_is_refused_and_not_stored(tmp_path):
    class Broken:
        n_players = 5

        def __call__(self, coalitions):
            return np.where(coalitions[:, 0], np.nan, 1.0)

    for _ in range(2):
        with pytest.raises(InputError, match="utilities must be finite"):
            shapley(CachedGame(Broken(), tmp_path / "cache", "broken"), "exact")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda c: c, r"^game = \(1, 5\): must return the shape \(1,\)"),
        (lambda c: None, r"^game = \(\): must return the shape"),
        (lambda c: np.array(["a"] * len(c)), "must return real numbers"),
    ],
)
def test_answers_that_are_no_utilities_are_refused(tmp_path, answer, line):
    class Broken:
        n_players = 5
        __call__ = staticmethod(answer)

    with pytest.raises(InputError, match=line):
        shapley(CachedGame(Broken(), tmp_path / "cache", "broken"), "exact")


@pytest.mark.parametrize("fingerprint", ["", None, 7])
def test_a_fingerprint_is_needed(tmp_path, fingerprint):
    with pytest.raises(InputError, match=r"^fingerprint"):
        CachedGame(Slow(N, tmp_path / "journal"), tmp_path, fingerprint)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"^folder = .*: must be a folder to write in"):
        CachedGame(Slow(N, tmp_path / "journal"), tmp_path / "file", "a game")


PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from test_cache import CachedGame, Slow, all_coalitions
from pathlib import Path
folder = Path(sys.argv[1])
game = CachedGame(Slow(11, sys.argv[2], 0.004), folder / "cache", "a game")
print("started", flush=True)
if sys.stdin.readline():
    rows = all_coalitions()[:400]
    game(rows[::-1] if sys.argv[3] == "back" else rows)
"""


@pytest.fixture
def process(tmp_path):
    """Starts processes that evaluate 400 coalitions of 4 ms each as soon as they are told to go."""
    started = []

    def start(number, direction="forth"):
        program = PROGRAM.format(here=str(Path(__file__).parent))
        command = [sys.executable, "-c", program, str(tmp_path), str(tmp_path / f"journal-{number}"), direction]
        found = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(found)
        assert found.stdout.readline() == "started\n"
        return found

    yield start
    for found in started:
        found.kill()
        found.wait()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_kill_9_in_the_middle_loses_a_call_at_most(cached, process, tmp_path):
    one = process(1)
    go(one)
    deadline = time.monotonic() + 60
    while len(journal(tmp_path / "journal-1")) < 150 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(one.pid, signal.SIGKILL)
    one.wait()
    before = journal(tmp_path / "journal-1")
    stored = sum(log.stat().st_size for log in logs(tmp_path)) // RECORD
    assert 150 <= len(before) < 400
    assert 100 <= stored <= len(before)  # a call has about 0.1 s of work, 25 coalitions
    rows = all_coalitions()[:400]
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    after = journal(tmp_path / "journal")
    assert len(after) == 400 - stored
    assert not set(after) & set(before[:stored])


def test_two_processes_at_once(cached, process, tmp_path):
    both = [process(1, "forth"), process(2, "back")]
    for one in both:
        go(one)
    for one in both:
        assert one.wait(60) == 0
    counts = [len(journal(tmp_path / f"journal-{number}")) for number in (1, 2)]
    # they met somewhere: but for a few that both had in hand, none was evaluated twice
    assert 400 <= sum(counts) <= 400 + 150
    rows = all_coalitions()[:400]
    assert cached()(rows).tobytes() == expected(rows).tobytes()
    assert not journal(tmp_path / "journal")


@pytest.mark.parametrize(("score", "method"), [("l2", "stratified"), ("dot", "closed_form")])
def test_an_averaging_game_keeps_its_structure(tmp_path, score, method):
    rng = np.random.default_rng(0)
    game = AveragingGame(rng.random((25, 3)), rng.random(3), score)
    found, bare = shapley(CachedGame(game, tmp_path, "averaging"), budget=500), shapley(game, budget=500)
    assert found.method == bare.method == method
    assert found.values.tobytes() == bare.values.tobytes()
