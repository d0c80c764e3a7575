import numpy as np
import pytest

from crowd_sim.errors import InputError
from experiments.bench.real_games import (
    PER_PLAYER,
    Case,
    against_rivals,
    by_family,
    make_rivals,
    measure,
    read_games,
    read_rivals,
    table,
    times,
)


def written(folder, name, n, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(2**n)
    coalitions = (order[:, None] >> np.arange(n) & 1).astype(bool)
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", coalitions=coalitions, values=coalitions @ np.arange(n) + 3.0, n_players=n)


def test_games_are_read_valued_and_compared(tmp_path):
    for name in "abc":
        written(tmp_path / "additive", name, 7, seed=ord(name))
    games = read_games(tmp_path, most=2)
    assert [game.name for game in games] == ["a", "c"]
    coalitions = np.random.default_rng(0).random((20, 7)) < 0.5
    np.testing.assert_array_equal(games[0](coalitions), coalitions @ np.arange(7) + 3.0)
    cases = measure(games, 2, [].append)
    assert len(cases) == 2 * 2 * 1  # 20 evaluations a player and more cover all 128 coalitions
    assert all(case.error < 1e-12 and case.covered == 1.0 for case in cases)
    assert table(cases, {}).splitlines()[-1].startswith("| all families | 1e-12, 1.00, ")


def test_ratios_are_geometric_means_of_families(tmp_path):
    new = [Case(f, "g", 5, seed, error, 1.0, 0.0) for f, error in (("x", 0.1), ("y", 0.4)) for seed in (0, 1)]
    earlier = {case.key: 0.2 for case in new}
    assert table(new, earlier).splitlines()[-1].split("|")[2] == " 0.2, 1.00, 1.00, 0.00 "
    assert table(new, earlier).splitlines()[-1].count("|") == 2 + len(PER_PLAYER)
    with pytest.raises(InputError, match="families"):
        read_games(tmp_path / "none", 2)


def test_the_best_rival_and_the_share_of_families_near_the_best(tmp_path):
    cases = [Case(f, "g", 5, 0, 0.1, 1.0, 0.0) for f in ("x", "y")]
    path = tmp_path / "rivals.csv"
    rows = ["method,version,family,name,per_player,seed,error,seconds"]
    rows += ["a,1,x,g,5,0,0.2,0", "a,1,y,g,5,0,0.2,0", "b,1,x,g,5,0,0.05,0", "b,1,y,g,5,0,inf,0"]
    path.write_text("\n".join(rows) + "\n")
    *_, last = against_rivals(cases, read_rivals(path)).splitlines()
    assert last == "| 5n | a: 2.00 | 50% of 2 | 2.00, x |"
    assert by_family(cases, read_rivals(path)).splitlines()[2:] == [
        "| x | 2.00 (b) |  |  |  |",
        "| y | 0.50 (a) |  |  |  |",
        "| geometric mean | 1.00 |  |  |  |",
        "| median | 1.00 |  |  |  |",
    ]
    with pytest.raises(SystemExit, match="No such file"):
        make_rivals(tmp_path / "none", tmp_path, 1, 1, (5,))


def test_seconds_against_those_of_proxies(tmp_path):
    cases = [Case("x", "g", 5, seed, 0.1, 1.0, 0.3) for seed in (0, 1)]
    path = tmp_path / "rivals.csv"
    rows = [
        f'"ProxySHAP, {kind}",1,x,g,5,{seed},0.2,{s}'
        for kind, s in (("XGBoost", 0.1), ("LightGBM", 0.6))
        for seed in (0, 1)
    ]
    path.write_text("\n".join(["method,version,family,name,per_player,seed,error,seconds", *rows]) + "\n")
    assert times(cases, read_rivals(path, "seconds")).splitlines()[2:] == ["| 5n | 0.30 | 0.10 | 0.60 | 3.0, 0.5 |"]
