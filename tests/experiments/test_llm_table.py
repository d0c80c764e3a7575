import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy import stats

from crowd_sim.errors import InputError
from experiments.paper import llm_table
from experiments.paper.llm_bars import bars_by_emotion
from experiments.paper.llm_folder import BASELINES, read_cells
from experiments.paper.llm_table import best_variant, by_emotion, markdown, overall, published

EMOTIONS = ("neutral", "love", "anger")


SEARCHES = {"tournament": "best", "merging": "merge", "halving": "halving"}


def write_cell(folder, distances, phi="distilled:head", epochs=3):
    """A point of the sweep of a variant: <root>/<emotion>/seed-<s>/<variant> goes to <root>/<variant>."""
    variant, seed, emotion = folder.name, int(folder.parent.name.removeprefix("seed-")), folder.parent.parent.name
    sweep = folder.parents[2] / variant
    sweep.mkdir(parents=True, exist_ok=True)
    kind, _, model = phi.partition(":")
    swept = {"crowd": {"target": [emotion]}, "seed": [seed], "tournament": {"search": [SEARCHES[variant]]}}
    task = {"kind": "imitate", "epochs": epochs, "phi": {"kind": kind, "model": model}}
    (sweep / "config.yaml").write_text(yaml.safe_dump({"crowd": {"target": emotion}, "task": task, "sweep": swept}))
    row = {"crowd.target": emotion, "seed": seed, "tournament.search": SEARCHES[variant]}
    for name, distance in distances.items():
        row |= {f"distance_{name}_mean": distance, f"distinct_{name}_mean": 1 - distance / 10}
        row |= {f"copied_{name}_mean": distance / 10}
    path = sweep / "points.parquet"
    before = [pd.read_parquet(path)] if path.exists() else []
    pd.concat([*before, pd.DataFrame([row])], ignore_index=True).to_parquet(path)


def sweeps(root):
    return sorted(path.parent for path in root.glob("*/points.parquet"))


def write_halving(seed_folder, final=0.9, **singles):
    """A cell of `halving`: far off, with single models of its own."""
    write_cell(seed_folder / "halving", {"single_100": 1.0, "single_equal_tokens": 1.0, **singles, "round_3": final})


def distances(final, shift=0.0):
    singles = dict(zip(BASELINES, (1.2, 0.9, 0.8, 0.8, 0.6), strict=True))
    return {name: value + shift for name, value in (singles | {"round_1": 0.7, "round_3": final}).items()}


@pytest.fixture
def cells(tmp_path):
    """Three emotions, three seeds: merging is at 0.4 + 0.02 · seed + 0.05 · emotion, the tournament 0.1 above."""
    for i, emotion in enumerate(EMOTIONS):
        for seed in range(3):
            final = 0.4 + 0.02 * seed + 0.05 * i
            write_cell(tmp_path / emotion / f"seed-{seed}" / "tournament", distances(final + 0.1))
            write_cell(tmp_path / emotion / f"seed-{seed}" / "merging", distances(final))
            write_halving(tmp_path / emotion / f"seed-{seed}")
    return tmp_path


def test_a_row_per_emotion_with_means_over_seeds_and_the_published_figures(cells):
    table = by_emotion(read_cells(sweeps(cells)).table).set_index("emotion")
    assert list(table["seeds"]) == [3, 3, 3]
    assert table["base"]["love"] == pytest.approx(1.2)
    assert table["merging"]["love"] == pytest.approx(0.47)
    assert table["tournament"]["love"] == pytest.approx(0.57)
    assert table["merging_single_100"]["love"] == pytest.approx(100 * (1 - 0.47 / 0.8))
    assert table["tournament_single_equal_tokens"]["love"] == pytest.approx(100 * (1 - 0.57 / 0.6))
    assert table["merging_se"]["love"] == pytest.approx(0.02 / 3**0.5)
    assert table["published_reduction"]["love"] == 57.3772
    assert np.isnan(table["published_reduction"]["anger"])


def test_a_reduction_is_the_mean_of_the_seeds_own(cells):
    write_cell(cells / "love" / "seed-7" / "tournament", distances(0.5, shift=1.0))
    write_cell(cells / "love" / "seed-7" / "merging", distances(0.5, shift=1.0))
    write_halving(cells / "love" / "seed-7")
    own = [*(100 * (1 - (0.45 + 0.02 * seed) / 0.8) for seed in range(3)), 100 * (1 - 1.5 / 1.8)]
    table = by_emotion(read_cells(sweeps(cells)).table).set_index("emotion")
    assert table["merging_single_100"]["love"] == pytest.approx(np.mean(own))


def test_a_variant_is_held_against_its_own_single_models_where_it_has_some(tmp_path):
    write_cell(tmp_path / "love" / "seed-0" / "tournament", distances(0.5))
    write_cell(tmp_path / "love" / "seed-0" / "merging", {"single_equal_tokens": 1.0, "round_3": 0.5})
    write_halving(tmp_path / "love" / "seed-0", 0.3, single_100=0.4, single_equal_tokens=0.5)
    row = read_cells(sweeps(tmp_path)).table.iloc[0]
    assert row["merging_single_equal_tokens"] == pytest.approx(50)
    assert row["merging_single_100"] == pytest.approx(37.5)
    assert (row["single_100"], row["single_equal_tokens"]) == (0.8, 0.6)
    assert row["halving_single_100"] == pytest.approx(100 * (1 - 0.3 / 0.8))
    assert row["halving_single_100_of_halving"] == pytest.approx(25)
    assert row["halving_single_equal_tokens"] == pytest.approx(40)
    assert (row["single_100_of_halving"], row["single_equal_tokens_of_halving"]) == (0.4, 0.5)


def test_shares_of_distinct_and_of_copied_outputs_are_percentages_of_each_model(cells):
    table = by_emotion(read_cells(sweeps(cells)).table).set_index("emotion")
    assert table["halving_copied"]["love"] == pytest.approx(9)
    assert table["merging_distinct"]["love"] == pytest.approx(100 - 4.7)
    assert table["single_100_of_halving_copied"]["love"] == pytest.approx(10)


def test_intervals_over_cells_and_over_emotions(cells):
    table = read_cells(sweeps(cells)).table
    means = overall(table).set_index(["column", "over"])
    for over, sample in (("cells", table["merging"]), ("emotions", table.groupby("emotion")["merging"].mean())):
        low, high = stats.t.interval(0.95, len(sample) - 1, sample.mean(), sample.sem())
        row = means.loc["merging", over]
        assert (row["n"], row["mean"], row["lower"], row["upper"]) == pytest.approx(
            (len(sample), sample.mean(), low, high)
        )
    one = overall(table.head(1)).set_index(["column", "over"]).loc["merging", "cells"]
    assert one["mean"] == table["merging"][0]
    assert np.isnan(one["lower"])


def test_cells_that_lack_a_variant_are_left_out_and_named(cells):
    write_cell(cells / "love" / "seed-10" / "tournament", distances(0.1))
    write_halving(cells / "love" / "seed-10")
    found = read_cells(sweeps(cells))
    assert found.unfinished == ("love/seed-10",)
    assert len(found.table) == 9


def test_the_page_says_what_was_measured(cells):
    found = read_cells(sweeps(cells))
    best = best_variant(found.table)
    assert best == "merging"
    lines = list(markdown(by_emotion(found.table), overall(found.table), best, found.phi))
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows[:6]}) == 1
    assert rows[2].startswith("| anger | 3 | 1.2000 | 0.9000 | 0.8000 | 0.8000 | 0.6000 |")
    assert "distilled:head" in "\n".join(lines)
    elsewhere = markdown(by_emotion(found.table), overall(found.table), best, "distilled:/home/me/head")
    assert "\n".join(elsewhere) == "\n".join(lines)
    assert "over 9 cells" in "\n".join(lines)
    halving = next(row for row in rows if row.startswith("| halving |"))
    assert halving.split(" | ")[-2:] == ["91", "9 |"]
    assert "chosen afterwards: merging" in lines[-1]
    assert "steps as small" not in lines[-1]
    ours = list(markdown(by_emotion(found.table), overall(found.table), "halving", found.phi))
    assert "in steps as small by 10.0 [10.0, 10.0] %" in ours[-1]
    assert "| halving: % nearer than single 100 in steps of halving |" in ours[0]


def test_bars_stand_in_falling_order_of_the_reduction(cells):
    table = by_emotion(read_cells(sweeps(cells)).table)
    upper, lower = bars_by_emotion(table, "merging").axes
    assert [label.get_text() for label in lower.get_xticklabels()] == list(EMOTIONS)
    heights = [bar.get_height() for bar in lower.patches[:3]]
    assert heights == pytest.approx(sorted(table["merging_single_100"], reverse=True))
    assert [bar.get_height() for bar in upper.patches[6:9]] == pytest.approx(sorted(table["merging"]))


def test_bars_show_the_single_model_of_equal_tokens_that_the_variant_is_held_against(cells):
    table = by_emotion(read_cells(sweeps(cells)).table)
    for best, equal in (("merging", 0.6), ("halving", 1.0)):
        upper, _ = bars_by_emotion(table, best).axes
        assert [bar.get_height() for bar in upper.patches[3:6]] == pytest.approx([equal] * 3)


def test_bars_say_whose_steps_the_single_model_of_equal_tokens_has(cells):
    table = by_emotion(read_cells(sweeps(cells)).table)
    for best, steps in (("merging", ""), ("halving", ", in steps of halving")):
        upper, lower = bars_by_emotion(table, best).axes
        said = [text.get_text() for axes in (upper, lower) for text in axes.get_legend().get_texts()]
        assert {"single, 100 examples", f"single, equal tokens{steps}", f"against equal tokens{steps}"} <= set(said)


def test_a_variant_is_judged_by_its_last_round_however_many_there_are(tmp_path):
    for number, name in enumerate(("tournament", "merging")):
        found = distances(0.0) | {"round_2": 0.5 + number / 10, "round_10": 0.3 + number / 10}
        write_cell(tmp_path / "love/seed-0" / name, {model: d for model, d in found.items() if model != "round_3"})
    write_cell(tmp_path / "love/seed-0/halving", {"single_100": 1.0, "single_equal_tokens": 1.0, "round_2": 0.2})
    row = read_cells(sweeps(tmp_path)).table.iloc[0]
    assert [row[name] for name in ("tournament", "merging", "halving")] == pytest.approx([0.3, 0.4, 0.2])


@pytest.mark.parametrize(("best", "status"), [(0.4, 0), (0.7, 1)])
def test_the_command_writes_the_files_and_says_whether_it_is_enough(best, status, tmp_path, monkeypatch, capsys):
    for seed in range(2):
        write_cell(tmp_path / "runs" / "love" / f"seed-{seed}" / "tournament", distances(0.75))
        write_cell(tmp_path / "runs" / "love" / f"seed-{seed}" / "merging", distances(best))
        write_halving(tmp_path / "runs" / "love" / f"seed-{seed}")
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["llm_table", *map(str, sweeps(tmp_path / "runs")), "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        llm_table.main()
    assert ended.value.code == status
    assert sorted(path.name for path in out.iterdir()) == [
        "llm_bars.png",
        "llm_overall.csv",
        "llm_table.csv",
        "llm_table.md",
    ]
    assert capsys.readouterr().out == (out / "llm_table.md").read_text(encoding="utf-8")
    assert ("MISSED" in (out / "llm_table.md").read_text(encoding="utf-8")) == bool(status)
    assert pd.read_csv(out / "llm_table.csv")["merging"].tolist() == [best]
    assert Image.open(out / "llm_bars.png").width == 1420


def whole(root):
    """A cell of which all is there."""
    write_cell(root / "love/seed-0/tournament", distances(0.5))
    write_cell(root / "love/seed-0/merging", distances(0.5))
    write_halving(root / "love/seed-0")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: write_cell(root / "joy/seed-0/tournament", distances(0.5)), "have an emotion and seed"),
        (lambda root: (root / "empty").mkdir() or [root / "empty"], "must be of a sweep that is finished"),
        (
            lambda root: whole(root) or write_cell(root / "more/anger/seed-0/tournament", distances(0.5), epochs=2),
            "task.epochs = '.': must be that of .*, .: a variant is",
        ),
        (
            lambda root: whole(root) or write_cell(root / "more/love/seed-0/tournament", distances(0.5)),
            "must not have love, seed 0 and search best again",
        ),
        (
            lambda root: whole(root) or write_cell(root / "a/joy/seed-1/halving", distances(0.5), phi="other"),
            "by one Φ",
        ),
    ],
)
def test_refuses_what_is_no_result(change, said, tmp_path):
    folders = change(tmp_path) or sorted(path.parent for path in tmp_path.rglob("points.parquet"))
    with pytest.raises(InputError, match=said):
        read_cells(folders)


@pytest.mark.parametrize("names", [{"base": 1.0, "round_3": 1.0}, dict.fromkeys(BASELINES, 1.0)])
def test_a_point_without_a_model_is_refused(names, tmp_path):
    write_cell(tmp_path / "love/seed-0/tournament", names)
    write_cell(tmp_path / "love/seed-0/merging", distances(0.5))
    write_halving(tmp_path / "love/seed-0")
    with pytest.raises(InputError, match=r"(single_33|round_1).*is missing"):
        read_cells(sweeps(tmp_path))


def test_the_published_part_has_22_emotions():
    table = published()
    assert len(table) == 22
    expected = 100 * (1 - table["published_tournament"] / table["published_single_100"])
    assert table["published_reduction"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.02)
