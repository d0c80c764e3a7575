"""The figures and the page of an LLM run's folder, from small tables made here."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text
from PIL import Image

from crowd_sim.errors import InputError
from crowd_sim.report import llm_figures
from crowd_sim.report.html import write_report
from crowd_sim.report.labels import model_words, phi_words, plain, short_model_words
from crowd_sim.report.llm_figures import distance_by_model, scores_by_round, workers_in_a_row
from crowd_sim.report.llm_numbers import reduction
from crowd_sim.report.llm_page import _best
from crowd_sim.report.tables import kind_of
from tests.experiments.llm_folder import (
    models,
    models_table,
    outputs_table,
    round_tables,
    workers_table,
    write_llm_run,
)
from tests.experiments.test_report import Page, nothing_from_elsewhere

BLUE = llm_figures.PALETTE[0]


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def page_of(folder):
    return write_report(folder).read_text(encoding="utf-8")


# --- figures


def test_boxes_stand_in_the_papers_order_and_hold_their_models_outputs():
    outputs = outputs_table()
    figure = distance_by_model(outputs)
    (axes,) = figure.axes
    labels = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert labels == ["base", "single 33", "single 66", "single 100", "equal tokens", "round 1", "round 2", "round 3"]
    medians = [
        line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    ]
    expected = outputs.groupby("model")["distance"].median()
    for name in models():
        assert any(np.isclose(expected[name], median) for median in medians), name
    faces = [patch.get_facecolor()[:3] for patch in axes.patches]
    assert len({*faces[:5]}) == len({*faces[5:]}) == 1
    assert faces[0] != faces[5]


def test_every_round_has_its_candidates_the_old_model_and_a_ring_around_the_winner():
    rounds, candidates = round_tables(outputs_table())
    (axes,) = scores_by_round(rounds, candidates).axes
    rings = [dots for dots in axes.findobj(PathCollection) if dots.get_sizes().tolist() == [70]]
    heights = [float(ring.get_offsets()[0][1]) for ring in rings]
    own = candidates.set_index(["round", "candidate"])["score"]
    played = rounds.set_index("round")
    # winner 1, then the merged one, then none
    assert heights == pytest.approx([own[1, 1], played["merged_score"][2], played["model_score"][3]])
    lines = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata()) == 2]
    assert lines == pytest.approx(list(played["model_score"]))


@pytest.mark.parametrize(("n_runs", "panels"), [(1, 1), (3, 3), (5, 5), (9, 6)])
def test_of_many_runs_the_first_six_have_a_panel(n_runs, panels):
    figure = scores_by_round(*round_tables(outputs_table(n_runs)))
    assert sum(axes.axison for axes in figure.axes) == panels


@pytest.mark.parametrize("n_rounds", [1, 2, 12])
def test_rounds_are_whole_numbers(n_rounds):
    rounds, candidates = round_tables(outputs_table(n_rounds=n_rounds), n_rounds)
    (axes,) = scores_by_round(rounds, candidates).axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick in range(1, n_rounds + 1) for tick in ticks)


def test_merged_is_in_the_legend_only_where_there_was_one():
    rounds, candidates = round_tables(outputs_table())
    assert "merged" in [text.get_text() for text in scores_by_round(rounds, candidates).legends[0].texts]
    alone = rounds[rounds["round"] == 1]
    assert "merged" not in [text.get_text() for text in scores_by_round(alone, candidates).legends[0].texts]


def test_workers_are_ordered_by_what_is_known_best():
    valued = workers_in_a_row(workers_table().iloc[::-1])
    assert len(valued.axes) == 3
    assert [label.get_text() for label in valued.axes[0].get_yticklabels()] == [f"worker {i}" for i in range(6)]
    table = workers_table(valued=False)
    bare = workers_in_a_row(table)
    assert len(bare.axes) == 1
    lengths = [bar.get_width() for bar in bare.axes[0].patches]
    assert lengths == sorted(table["points"], reverse=True)


def test_bars_of_several_runs_are_means():
    table = workers_table(3)
    bars = [bar.get_width() for bar in workers_in_a_row(table).axes[1].patches]
    assert bars == pytest.approx(sorted(table.groupby("worker")["shapley"].mean(), reverse=True))


def test_names_of_a_large_crowd_are_left_out():
    assert "worker" not in texts(workers_in_a_row(workers_table(1, 60)))


# --- numbers


def test_a_reduction_over_runs_is_the_mean_of_theirs():
    outputs = outputs_table(4)
    means = outputs.pivot_table(index="run", columns="model", values="distance")
    own = 1 - means["round_3"] / means["base"]
    assert reduction(outputs, "round_3", "base") == pytest.approx((own.mean(), own.sem()))


def test_one_runs_error_is_that_of_its_outputs_and_none_where_they_are_the_same():
    outputs = outputs_table(n_outputs=400)
    mean, error = reduction(outputs, "round_3", "base")
    pairs = outputs.pivot_table(index="output", columns="model", values="distance")
    draw = np.random.default_rng(2)
    resampled = [pairs.iloc[draw.integers(0, 400, 400)].mean() for _ in range(400)]
    bootstrap = np.std([1 - means["round_3"] / means["base"] for means in resampled])
    assert mean == pytest.approx(1 - pairs["round_3"].mean() / pairs["base"].mean())
    assert error == pytest.approx(bootstrap, rel=0.15)
    same = outputs.assign(distance=outputs["output"] + 1.0)
    assert reduction(same, "round_3", "base") == (0.0, 0.0)


def test_words():
    names = ["base", "single, 33 examples", "single, equal tokens", "round 2"]
    assert [model_words(name) for name in ("base", "single_33", "single_equal_tokens", "round_2")] == names
    short = ["base", "single, 33", "equal tokens", "round 2"]
    assert [short_model_words(name) for name in ("base", "single_33", "single_equal_tokens", "round_2")] == short
    assert [phi_words(phi) for phi in ("distilled:/a/head", "distilled:a/head", "classifier")] == [
        *("distilled:head", "distilled:a/head", "classifier"),
    ]
    assert plain("a\n b\u202ec" + "d" * 9, 8) == "a b\ufffdcdd…"


# --- the page


def test_a_folder_is_an_llm_runs_where_its_configuration_has_the_section(tmp_path):
    folder = write_llm_run(tmp_path / "run")
    assert kind_of(folder) == "llm"
    (folder / "config.yaml").write_text("seed: 1\nllm: null\n")
    assert kind_of(folder) == "run"


def test_the_page_of_one_run_holds_the_numbers(tmp_path):
    folder = write_llm_run(tmp_path / "run")
    text = page_of(folder)
    page = Page(text)
    rows = {row[0]: row[1:] for row in page.rows if row}
    table = models_table(outputs_table()).set_index("model")
    distance = table["distance"]["single_equal_tokens"]
    assert rows["single, equal tokens"][1].startswith(f"{distance:.4f} ± ")
    against = 100 * (1 - table["distance"]["round_3"] / distance)
    assert float(rows["single, equal tokens"][2].split(" ± ")[0]) == pytest.approx(against, abs=0.1)
    shares = ["90 %", "14 %", "21 %", "5 %", "3.50"]
    assert rows["single, equal tokens"][3:] == [*shares, "7,000", "700", "70.0"]
    assert rows["round 2"][:1] == ["0.050 ± 0.010"]
    assert rows["round 3, concentrated"][2] == ""
    for said in ("best model is round 2", "held-out texts themselves to the target is 0.310", "but by concentration"):
        assert said in text
    assert [row[1] for row in page.rows if row and row[0] in "123" and len(row) == 9] == [
        "candidate 1",
        "merged",
        "none",
    ]
    assert rows["Coalitions retrained"] == ["64"]
    assert rows["Points against Shapley values (Pearson)"] == ["0.812"]
    for said in ("2,442,240", "embedding:&lt;mini&gt;", "my_words.txt", "some/base_model", "abc123"):
        assert said in text
    assert "over outputs." in text
    names = sorted(path.stem for path in (folder / "figures").iterdir())
    values = ["first_order_against_values", "points_against_values"]
    assert names == ["distance_by_model", *values, "scores_by_round", "workers_in_a_row"]
    assert sum(tag == "img" for tag, _ in page.tags) == len(names)
    assert page_of(folder) == text


def test_a_folder_of_an_earlier_version_says_nothing_of_energy(tmp_path):
    folder = write_llm_run(tmp_path / "run")
    models = pd.read_parquet(folder / "models.parquet")
    new = ["energy", "energy_se", "copied_5grams", "repetition", "held_out_loss", "concentrated"]
    models.drop(columns=new).to_parquet(folder / "models.parquet")
    summary = json.loads((folder / "summary.json").read_text())
    del summary["floor"]
    (folder / "summary.json").write_text(json.dumps(summary))
    text = page_of(folder)
    rows = {row[0]: row[1:] for row in Page(text).rows if row}
    assert rows["single, equal tokens"][0] == "–"
    assert "concentration" not in text


def test_wide_tables_stand_in_boxes_that_scroll(tmp_path):
    text = page_of(write_llm_run(tmp_path / "run"))
    for label in ("All models", "All rounds"):
        assert f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">\n<table>' in text
    assert re.search(r"^\.scroll {[^}]*overflow: auto", text, re.MULTILINE)


def test_outputs_stand_side_by_side_as_they_came(tmp_path):
    outputs = outputs_table(2)
    page = Page(page_of(write_llm_run(tmp_path / "run", 2, outputs=outputs)))
    body = [row for row in page.rows if row and row[0].startswith("prompt ")]
    assert len(body) == outputs["output"].nunique()
    for i, (prompt, before, after) in enumerate(body):
        assert prompt == f"prompt {i % 5}"
        assert f"base says\nnumber {i}" in before
        assert f"round_3 says\nnumber {i}" in after
    shared = Page(page_of(write_llm_run(tmp_path / "one", outputs=outputs_table().assign(prompt="Write."))))
    assert not [row for row in shared.rows if row and row[0] == "Write."]
    assert len([row for row in shared.rows if row and row[0].startswith("base says")]) > 12


def test_foreign_texts_stay_texts(tmp_path):
    outputs, workers = outputs_table(), workers_table()
    outputs.loc[outputs["output"] == 0, "text"] = "<script>alert(1)</script>"
    outputs.loc[outputs["output"] == 1, "text"] = " \n"
    outputs.loc[outputs["output"] == 2, "text"] = "x" * 5000
    outputs.loc[outputs["output"] == 3, "text"] = "bell\x07"
    outputs["prompt"] = "<img src=x onerror=alert(1)>"
    workers["worker"] = ["$\\frac{$", "$x^$", "a\nb", "<b>", "w" * 500, "\u202ebidi"]
    text = page_of(write_llm_run(tmp_path / "run", outputs=outputs, workers=workers))
    tags = Page(text).tags
    assert nothing_from_elsewhere(text)
    assert all((attributes["src"] or "").startswith("data:") for tag, attributes in tags if tag == "img")
    assert "&lt;script&gt;" in text
    assert "(nothing)" in text
    assert "x" * 599 + "…" in text
    assert "x" * 601 not in text
    assert "\x07" not in text
    width, _ = Image.open(tmp_path / "run" / "figures" / "workers_in_a_row.png").size
    assert width == 1420


def test_runs_without_values_or_of_many_replicates_have_a_page_too(tmp_path):
    bare = page_of(write_llm_run(tmp_path / "bare", valued=False))
    assert "Coalitions retrained" not in bare
    assert len(list((tmp_path / "bare" / "figures").iterdir())) == 3
    several = page_of(write_llm_run(tmp_path / "several", 8, 12))
    assert "over runs." in several
    assert "The first 6 of 8 runs" in several
    undefined = write_llm_run(tmp_path / "undefined")
    summary = json.loads((undefined / "summary.json").read_text())
    summary["valuation"]["pearson_points"] = {"mean": None, "se": None}
    (undefined / "summary.json").write_text(json.dumps(summary))
    rows = {row[0]: row[1:] for row in Page(page_of(undefined)).rows if row}
    assert rows["Points against Shapley values (Pearson)"] == ["undefined"]


@pytest.mark.parametrize("name", ["models", "outputs", "rounds", "candidates", "workers"])
def test_a_missing_table_is_named(tmp_path, name):
    folder = write_llm_run(tmp_path / "run")
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(InputError, match=rf"must hold {name}|with {name}\.parquet") as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)


def test_a_broken_summary_is_named(tmp_path):
    folder = write_llm_run(tmp_path / "run")
    (folder / "summary.json").write_text('{"distance": 3}')
    with pytest.raises(InputError, match=r"summary\.json: distance"):
        write_report(folder)


def test_a_winner_is_named_where_its_error_tells_it_from_the_others() -> None:
    def model(energy: float, error: float) -> pd.DataFrame:
        return pd.DataFrame({"energy": [energy], "energy_se": [error]})

    alike = {"base": model(0.42, 0.14), "round_1": model(0.42, 0.14)}
    assert _best(["round_1", "base"], alike).endswith("round 1 comes first, and its error does not tell it from base.")
    apart = {"base": model(0.42, 0.01), "round_1": model(0.2, 0.01)}
    assert _best(["round_1", "base"], apart) == "By it the best model is round 1."
    assert "surely" in _best(["round_1", "base"], apart | {"base": model(0.42, np.nan)})
