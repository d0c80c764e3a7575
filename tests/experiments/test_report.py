"""The figures and the page of a run's or a sweep's folder, from small tables made here."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from crowd_sim.api.sweeps import SweepResult
from crowd_sim.errors import InputError, StorageError
from crowd_sim.report.figures import (
    correlation_against_distance,
    correlation_by_n,
    distance_per_round,
    draw_run,
    draw_sweep,
    points_against_values,
    points_by_combination,
)
from crowd_sim.report.html import sweep_page, write_report
from crowd_sim.report.labels import mean_and_error, three_digits, value_words
from crowd_sim.report.layout import averaged, plan
from crowd_sim.report.page import changed
from crowd_sim.report.run_figures import pool
from crowd_sim.report.style import png, write_atomically
from crowd_sim.report.worth import by_worker, over_and_underpaid, worth

METRICS = ["final_distance", "rounds_to_converge"] + [
    f"{kind}_{values}" for values in ("kernel_shap", "accurate") for kind in ("pearson", "spearman")
]
CONFIG = """seed: 7
runs: 4
crowd: {n_workers: 12, source: "<script>alert(1)</script>"}
tournament: {n_groups: 3, score: l2, grouping: random, convergence_distance: 4.5}
versions: {numpy: 2.4.6}
"""


def rounds_table(n_runs: int = 4, n_rounds: int = 20) -> pd.DataFrame:
    run, number = np.divmod(np.arange(n_runs * (n_rounds + 1)), n_rounds + 1)
    return pd.DataFrame({"run": run, "round": number, "distance": 4 + 0.1 * run + 5 * np.exp(-number / 5)})


def workers_table(n_runs: int = 4, n: int = 12, **columns: Any) -> pd.DataFrame:
    draw = np.random.default_rng(5)
    values = draw.normal(size=n_runs * n)
    table = {
        "run": np.repeat(np.arange(n_runs), n),
        "worker": [f"w{i}" for i in range(n)] * n_runs,
        "row": np.tile(np.arange(n), n_runs),
        "points": np.round(100 + 10 * values + 5 * draw.normal(size=n_runs * n)),
        "shapley": values,
        "shapley_stderr": 0.05,
    }
    return pd.DataFrame(table | columns)


def points_table(**fields: list[Any]) -> pd.DataFrame:
    swept = fields or {
        "crowd.n_workers": [10, 25],
        "tournament.n_groups": [2, 3],
        "tournament.grouping": ["random", "interleaved"],
        "tournament.score": ["l2", "dot"],
    }
    table = pd.DataFrame(list(itertools.product(*swept.values())), columns=list(swept))
    for index, metric in enumerate(METRICS):
        table[f"{metric}_mean"] = 0.1 * index + 0.01 * np.arange(len(table)) + 0.123456
        table[f"{metric}_se"] = 0.02
    return table


def write_run(folder: Path, n_runs: int = 4, **metrics: dict[str, Any]) -> Path:
    folder.mkdir()
    rounds_table(n_runs).to_parquet(folder / "rounds.parquet")
    workers_table(n_runs).to_parquet(folder / "workers.parquet")
    pd.DataFrame({"run": np.arange(n_runs), "final_distance": 4.0}).to_parquet(folder / "runs.parquet")
    outcome = {
        "initial_distance": {"mean": 9.1517, "se": 0.0512, "n": n_runs},
        "final_distance": {"mean": 4.2345, "se": 0.0678, "n": n_runs},
        "rounds_to_converge": {"mean": 13.25, "se": 1.1, "n": n_runs - 1},
        "pearson_accurate": {"mean": 0.7312, "se": 0.0213, "n": n_runs},
        "spearman_accurate": {"mean": None, "se": None, "n": 0},
    }
    summary = {"metrics": outcome | metrics, "fingerprint": "abc123", "seconds": 3.21987}
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def write_sweep(folder: Path, points: pd.DataFrame) -> Path:
    folder.mkdir()
    points.to_parquet(folder / "points.parquet")
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def texts(figure: Any) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


class Page(HTMLParser):
    """Collects a page's rows and checks that its elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and "script" not in self.open:
            self.rows[-1][-1] += data


def nothing_from_elsewhere(text: str) -> bool:
    """Whether a page holds its own scripts alone, and may load nothing: what else is in it is none that runs."""
    tags = Page(text).tags
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    (policy,) = (
        attributes["content"] or "" for tag, attributes in tags if tag == "meta" and "http-equiv" in attributes
    )
    kinds = [attributes for tag, attributes in tags if tag == "script"]
    return (
        len(scripts) == 5
        and kinds == [{"type": "application/json", "id": "data"}, *({} for _ in scripts)]
        and "connect-src" not in policy
        and policy.startswith("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-")
        and all(f"'sha256-{digest}'" in policy for digest in allowed)
        and "link" not in {tag for tag, _ in tags}
        and not any((attributes.get("src") or "").startswith("http") for _, attributes in tags)
    )


# --- figures


def test_draw_run_writes_readable_pictures_and_nothing_else(tmp_path: Path) -> None:
    paths = draw_run(write_run(tmp_path / "run"))
    assert [path.name for path in paths] == ["distance_per_round.png", "points_against_values.png"]
    assert sorted(paths) == sorted((tmp_path / "run" / "figures").iterdir())
    for path in paths:
        picture = Image.open(path)
        assert picture.format == "PNG"
        assert round(picture.info["dpi"][0]) == 200
        assert picture.width >= 680
        assert path.stat().st_size > 8_000


def test_same_tables_give_the_same_bytes_whatever_the_users_settings(tmp_path: Path) -> None:
    points = points_table()
    sweep = write_sweep(tmp_path / "sweep", points)
    sample = pd.concat(
        [workers_table(1).assign(**{field: row[field] for field in points.columns[:4]}) for _, row in points.iterrows()]
    )
    sample.to_parquet(sweep / "workers_sample.parquet")
    first = [path.read_bytes() for path in draw_sweep(sweep)]
    assert len(first) == 3
    assert not any(b"tIME" in content or b"Software" in content for content in first)
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 30}):
        before = dict(mpl.rcParams)
        assert [path.read_bytes() for path in draw_sweep(sweep)] == first
        assert dict(mpl.rcParams) == before


def test_pyplot_is_never_used() -> None:
    folder = Path(sys.modules["crowd_sim.report.figures"].__file__ or "").parent
    assert not [path.name for path in folder.glob("*.py") if "pyplot" in path.read_text(encoding="utf-8")]


def test_no_text_is_smaller_than_eight_points() -> None:
    figures = [
        distance_per_round(rounds_table()),
        correlation_by_n(points_table()),
        points_against_values(workers_table()),
    ]
    assert min(text.get_fontsize() for figure in figures for text in figure.findobj(mpl.text.Text)) >= 8


def test_distance_is_a_mean_in_a_band_and_one_run_a_line() -> None:
    several, one = distance_per_round(rounds_table()), distance_per_round(rounds_table(1))
    line = several.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), rounds_table().groupby("round")["distance"].mean())
    assert len(several.axes[0].collections) == 1
    assert "mean of 4 runs" in texts(several)
    assert not one.axes[0].collections
    assert "one run" in texts(one)


def test_the_line_of_convergence_is_where_the_run_put_it_and_only_where_there_is_a_way_to_go() -> None:
    assert "within 4.5" in texts(distance_per_round(rounds_table(), within=4.5))
    assert "within" not in texts(distance_per_round(rounds_table().assign(distance=0.5)))


def test_pooled_pearson_is_the_mean_of_the_runs() -> None:
    table = workers_table(5)
    cloud = pool(table, ["run"], standardise=True)
    of_runs = [run["points"].corr(run["shapley"]) for _, run in table.groupby("run")]
    np.testing.assert_allclose(cloud.pearson, of_runs)
    np.testing.assert_allclose(np.corrcoef(cloud.values, cloud.points)[0, 1], np.mean(of_runs))
    spearman = [run["points"].corr(run["shapley"], method="spearman") for _, run in table.groupby("run")]
    np.testing.assert_allclose(cloud.spearman, spearman)


def test_scatter_says_what_it_shows() -> None:
    one, several = points_against_values(workers_table(1)), points_against_values(workers_table(3), title="l2, K = 3")
    assert "Pearson r = " in texts(one)
    assert "standardised" not in texts(one)
    assert "standardised within run" in texts(several)
    assert "3 runs" in texts(several)
    assert "l2, K = 3" in texts(several)


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (workers_table(1, points=1.0), "correlation undefined"),
        (workers_table(3, points=1.0), "the same for all workers"),
        (workers_table(1, shapley=np.nan, shapley_stderr=np.nan), "no Shapley values"),
        (workers_table(1, n=1), "correlation undefined"),
    ],
)
def test_scatter_without_correlation_says_why(workers: pd.DataFrame, said: str) -> None:
    figure = points_against_values(workers)
    assert said in texts(figure)
    assert png(figure)


def test_facets_lines_and_axis_follow_the_sweep() -> None:
    figure = correlation_by_n(points_table())
    assert len(figure.axes) == 4
    said = texts(figure)
    for word in (
        "grouping: random",
        "score: dot",
        "K = 2",
        "K = 3",
        "Kernel SHAP",
        "accurate values",
        "Number of workers n",
    ):
        assert word in said
    assert figure.axes[0].get_ylim() == (0.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "x", "lines", "panels"),
    [
        ({"crowd.n_workers": [10, 100_000]}, "crowd.n_workers", None, 1),
        ({"tournament.n_groups": [2, 3], "tournament.step": [0.1, 0.2]}, "tournament.step", "tournament.n_groups", 1),
        ({"tournament.n_groups": [2, 3]}, "tournament.n_groups", None, 1),
        ({"tournament.grouping": ["a", "b"], "tournament.score": ["l1", "l2"]}, "tournament.grouping", None, 2),
        ({"crowd.selection": ["first", None]}, "crowd.selection", None, 1),
        ({"seed": [1]}, None, None, 1),
        ({"crowd.n_workers": [5], "seed": list(range(9))}, "seed", None, 1),
    ],
)
def test_other_sweeps_are_drawn_too(
    fields: dict[str, list[Any]], x: str | None, lines: str | None, panels: int
) -> None:
    points = points_table(**fields)
    layout = plan(points)
    assert (layout.x, layout.lines) == (x, lines)
    figure = correlation_by_n(points)
    assert len(figure.axes) == panels
    assert len(png(figure)) > 5_000
    assert png(correlation_against_distance(points))


def test_fields_without_a_place_are_averaged_and_named() -> None:
    points = points_table(**{"crowd.n_workers": [10, 25], "crowd.selection": ["first", "random"]})
    layout = plan(points)
    table = averaged(points, layout, "pearson_accurate")
    assert len(table) == 2
    np.testing.assert_allclose(table["mean"], points.groupby("crowd.n_workers")["pearson_accurate_mean"].mean())
    np.testing.assert_allclose(table["se"], 0.02 / np.sqrt(2))
    assert "averaged over: selection of workers" in texts(correlation_by_n(points))


def test_undefined_correlations_are_said_in_their_panel() -> None:
    points = points_table()
    points.loc[points["tournament.score"] == "dot", ["pearson_accurate_mean", "pearson_kernel_shap_mean"]] = np.nan
    assert texts(correlation_by_n(points)).count("no correlation:\nundefined or\nnot computed") == 2
    assert "8 of 16 points undefined" in texts(correlation_against_distance(points))
    without = points_table().drop(columns=["pearson_kernel_shap_mean", "pearson_kernel_shap_se"])
    assert texts(correlation_by_n(without)).count("Kernel SHAP: none") == 4
    assert "no point has both" in texts(correlation_against_distance(points.drop(columns="pearson_accurate_mean")))
    assert png(correlation_by_n(points_table().assign(pearson_accurate_mean=np.nan, pearson_kernel_shap_mean=np.nan)))


def test_where_nobody_was_valued_the_measure_is_drawn(tmp_path: Path) -> None:
    points = points_table()
    points.loc[:, [name for name in points.columns if name.startswith(("pearson_", "spearman_"))]] = np.nan
    folder = write_sweep(tmp_path / "sweep", points)
    page = write_report(folder).read_text()
    assert [path.name for path in (folder / "figures").iterdir()] == ["measure_by_field.png"]
    for word in ("How good are the models?", "A picture for papers", "Distance to the target"):
        assert word in page
    for word in ("Accurate values, Pearson", "Do points stand for Shapley values?"):
        assert word not in page
    shown = SweepResult(points, points, points.iloc[:0], None).plot()
    assert "Distance to target\n‖model − target‖₂" in texts(shown)
    assert len(shown.axes) == 4


def test_one_panel_per_combination_and_runs_of_one_point_stay_apart() -> None:
    parts = [
        workers_table(1, **{"tournament.grouping": grouping, "tournament.score": score, "crowd.n_workers": 12})
        for grouping, score in [("random", "l2"), ("random", "dot"), ("interleaved", "l2")]
    ]
    figure = points_by_combination(pd.concat(parts))
    assert len(figure.axes) == 4
    assert texts(figure).count("no run") == 1
    assert len(points_by_combination(parts[0]).axes) == 1


# --- files


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = write_atomically(tmp_path / "figures" / "a.png", b"old")

    def fail(self: Path, other: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="disk full"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


# --- words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.73, "0.730"),
        (-0.5, "−0.500"),
        (4.0, "4.00"),
        (123.4, "123"),
        (999.6, "1000"),
        (12345.6, "12346"),
        (0.0, "0"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_three_digits(value: float | None, shown: str) -> None:
    assert three_digits(value) == shown


def test_the_error_decides_the_digits_of_the_mean() -> None:
    assert mean_and_error(4.61234, 0.0712) == "4.612 ± 0.071"
    assert mean_and_error(123.456, 12.3) == "123 ± 12"
    assert mean_and_error(-0.02, 0.013) == "−0.020 ± 0.013"
    assert mean_and_error(0.5, float("nan")) == "0.500"
    assert mean_and_error(None, None) == "–"
    assert value_words("my.pack_age:Fair_Share") == "Fair Share"


# --- the page


def test_page_of_a_run_stands_alone_and_holds_the_numbers(tmp_path: Path) -> None:
    path = write_report(write_run(tmp_path / "run"))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["Distance to the target after the last round"] == ["4.234 ± 0.068", "4 of 4"]
    assert rows["First round within the convergence distance"] == ["13.2 ± 1.1", "3 of 4"]
    assert rows["Points against accurate Shapley values (Spearman)"] == ["undefined or not computed", "0 of 4"]
    assert "3 of 4 runs came within 4.5" in text
    assert "abc123" in text
    assert "2.4.6" in text
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 2
    assert all((picture["src"] or "").startswith("data:image/png;base64,") and picture["alt"] for picture in pictures)
    assert nothing_from_elsewhere(text)
    assert "&lt;script&gt;" in text
    first = path.read_bytes()
    assert write_report(tmp_path / "run").read_bytes() == first


def test_page_of_one_run_has_no_errors_to_show(tmp_path: Path) -> None:
    never = {"mean": float("nan"), "se": None, "n": 0}
    exact = {"mean": 4.0, "se": None, "n": 1}
    folder = write_run(tmp_path / "run", 1, rounds_to_converge=never, final_distance=exact)
    text = write_report(folder).read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for row in Page(text).rows}
    assert "It never came within 4.5." in text
    assert rows["First round within the convergence distance"] == ["never"]
    assert rows["Distance to the target after the last round"] == ["4.00"]


def test_page_of_a_sweep_sorts_its_points(tmp_path: Path) -> None:
    points = points_table()
    folder = write_sweep(tmp_path / "sweep", points.sort_values("pearson_accurate_mean", ascending=False))
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    body = page.rows[2 : 2 + len(points)]
    assert len(body) == len(points)
    assert [row[0] for row in body] == ["10"] * 8 + ["25"] * 8
    assert body[0][4:6] == [three_digits(body_mean(points, body[0])), "0.0200"]
    assert ("td", {"class": "number"}) in page.tags


def data_of(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL).group(1))


def test_the_page_begins_with_who_was_worth_what(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", 1)
    workers = pd.DataFrame(
        {
            "run": 0,
            "worker": ["<i>a", "=b", "c\x1b[2J", "d"],
            "points": [40.0, 30, 20, 10],
            "shapley": [0.1, 0.3, 0.4, 0.2],
            "shapley_stderr": [0.01, 0.0, np.nan, 0.01],
        }
    )
    workers.to_parquet(folder / "workers.parquet")
    text = write_report(folder).read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for row in Page(text).rows}
    assert rows["<i>a"] == ["40.0", "0.100", "0.0804 to 0.120", "+3"]
    assert rows["=b"][2:] == ["exact", "0"]
    assert rows["c\\x1b[2J"][2:] == ["unknown", "−2"]
    assert "most overpaid is &lt;i&gt;a (rank 1 by points, 4 by value)" in text
    assert "most underpaid is c\\x1b[2J (rank 3 by points, 1 by value)" in text
    data = data_of(text)
    assert data["workers"]["gap"] == [3, 0, -2, -1]
    assert data["workers"]["error"] == [0.01, 0, None, 0.01]
    assert data["mean"][0] == pytest.approx(rounds_table(1)["distance"][0])


def test_who_gets_nothing_and_is_worth_less_is_not_underpaid() -> None:
    got = [3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    workers = pd.DataFrame({"run": 0, "worker": list("abcdefg"), "shapley_stderr": 0.0})
    for values, expected in (
        ([0.3, 0.2, 0.1, -0.1, -0.2, -0.3, -0.4], []),  # the four share rank 5.5, and d's value has rank 4
        ([0.3, 0.2, -0.1, 0.1, -0.2, -0.3, -0.4], ["d"]),
    ):
        for name in ("points", "pay"):
            table = by_worker(worth(workers.assign(shapley=values, **{"points": got, name: got})))
            over, under = over_and_underpaid(table, 3)
            assert under["worker"].tolist() == expected
            assert over["worker"].tolist() == (["c"] if expected else [])


def test_a_varied_field_is_there_by_its_values_alone() -> None:
    first = {"crowd": {"n_workers": 8}, "tournament": {"rounds": 5}}
    told = changed(first | {"sweep": {"crowd": {"n_workers": [8, 12]}}})
    assert [row[:2] for row in told] == [("tournament.rounds", "5"), ("sweep.crowd.n_workers", "[8, 12]")]
    assert [row[0] for row in changed(first)] == ["crowd.n_workers", "tournament.rounds"]


def test_points_of_mechanisms_that_only_watched_are_in_the_table_of_workers() -> None:
    workers = pd.DataFrame(
        {"run": [0, 0, 1, 1], "worker": list("abab"), "points": 1.0, "points_calibrated": [1.0, 2.0, 2.0, 2.0]}
    )
    assert by_worker(worth(workers)).set_index("worker")["points_calibrated"].to_dict() == {"a": 1.5, "b": 2.0}


def test_a_page_says_where_and_when_and_what_is_not_default(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "status.json").write_text('{"started": 1795983911.5, "host": "h<1>"}')
    (folder / "timing.json").write_text('{"seconds": 3725.2}')
    text = write_report(folder).read_text(encoding="utf-8")
    for said in ("2026-11-29 20:25 UTC", "h&lt;1&gt;", "1:02:05", "crowd-sim run run/config.yaml --out again"):
        assert said in text
    rows = {row[0]: row[1:] for row in Page(text).rows}
    assert rows["tournament.n_groups"] == ["3", "4"]
    assert "tournament.grouping" not in rows  # as it is by default


def test_the_same_again_is_said_from_where_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_report(write_run(tmp_path / "run")).read_bytes()
    said = (
        'from the folder that holds <bdi>run</bdi>: <code id="again">crowd-sim run run/config.yaml --out again</code>'
    )
    assert said in first.decode()
    monkeypatch.chdir(tmp_path / "run")
    assert write_report(Path()).read_bytes() == first


def test_intervals_of_points_are_student_s_over_the_runs_that_have_a_value(tmp_path: Path) -> None:
    points = points_table(**{"tournament.n_groups": [2, 3, 4]})
    runs = pd.DataFrame({"tournament.n_groups": [2, 2, 3, 3, 3, 4], "run": [0, 1, 0, 1, 2, 0], "seed": 0})
    runs["pearson_accurate"], runs["final_distance"] = [0.1, 0.2, 0.3, np.nan, 0.4, 0.5], 1.0
    folder = write_sweep(tmp_path / "sweep", points)
    runs.to_parquet(folder / "runs.parquet")
    text = write_report(folder).read_text(encoding="utf-8")
    data = data_of(text)
    counts = {metric["name"]: metric["n"] for metric in data["metrics"]}
    assert counts["pearson_accurate"] == [2, 2, 1]
    assert counts["final_distance"] == [2, 3, 1]
    assert counts["pearson_kernel_shap"] == 4  # as configured, where no table of runs knows better
    assert data["t"] == {"2": 12.706, "3": 4.3027, "4": 3.1824}  # none of one run
    assert "Student's t over runs" in text


def test_a_page_of_twenty_thousand_points_is_small(tmp_path: Path) -> None:
    fields = {"crowd.n_workers": [25, 50, 75, 100], "tournament.n_groups": [2, 3, 4, 5], "seed": list(range(1250))}
    points = points_table(**fields)
    draw = np.random.default_rng(0)
    for name in points.columns[3:]:
        points[name] = draw.random(len(points))
    path = write_report(write_sweep(tmp_path / "sweep", points))
    assert path.stat().st_size < 3_000_000
    data = data_of(path.read_text(encoding="utf-8"))
    assert len(data["metrics"][0]["mean"]) == len(data["fields"][2]["codes"]) == 20_000


def body_mean(points: pd.DataFrame, row: list[str]) -> float:
    names = ["crowd.n_workers", "tournament.n_groups", "tournament.grouping", "tournament.score"]
    match = np.logical_and.reduce([points[name].astype(str) == value for name, value in zip(names, row, strict=False)])
    return float(points.loc[match, "final_distance_mean"].iloc[0])


def test_the_picture_is_the_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    write_report(folder)
    assert Image.open(io.BytesIO((folder / "figures" / "distance_per_round.png").read_bytes())).size[0] == 700


# --- what is refused


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        write_report(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "rounds.parquet" in refused(tmp_path)


def test_incomplete_run_folders_are_refused(tmp_path: Path) -> None:
    for name in ("workers.parquet", "runs.parquet", "summary.json", "config.yaml"):
        folder = write_run(tmp_path / name)
        (folder / name).unlink()
        assert f"must hold {name}" in refused(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rounds.parquet", "no table", "readable Parquet"),
        ("summary.json", '{"metrics":\n oops}', "summary.json:2"),
        ("summary.json", '{"metrics": [1]}', "metrics"),
        ("config.yaml", "a: [1", "must be YAML"),
        ("config.yaml", "- 1\n", "mapping"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / name).write_text(content)
    message = refused(folder)
    assert name in message
    assert said in message


def test_tables_of_another_kind_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    rounds_table().drop(columns="distance").to_parquet(run / "rounds.parquet")
    assert "distance" in refused(run)
    rounds_table().head(0).to_parquet(run / "rounds.parquet")
    assert "at least one row" in refused(run)
    assert "_mean" in refused(write_sweep(tmp_path / "sweep", pd.DataFrame({"seed": [1]})))


def swept(folder: Path, fields: dict[str, list[Any]], **values: list[float]) -> dict[str, Any]:
    """The page of a sweep: fields and metrics are those of its runs, a row each; two to a point."""
    runs = pd.DataFrame({**fields, **values}).assign(run=[0, 1] * (len(next(iter(values.values()))) // 2))
    groups = runs.groupby(list(fields), sort=False)
    points = pd.concat([groups[m].agg(**{f"{m}_mean": "mean", f"{m}_se": "sem"}) for m in values], axis=1).reset_index()
    return sweep_page(write_sweep(folder, points), points, runs if "seed" in runs else runs.assign(seed=0))


def test_a_swept_seed_is_no_setting(tmp_path: Path) -> None:
    fields = {"tournament.n_groups": [2, 2, 3, 3] * 2, "seed": [0] * 4 + [1] * 4}
    page = swept(tmp_path / "s", fields, final_distance=[1.0, 2.0, 3.0, 5.0, 2.0, 3.0, 4.0, 4.5])
    assert [field["name"] for field in page["data"]["fields"]] == ["tournament.n_groups"]
    (distance,) = page["data"]["metrics"]
    assert (distance["mean"], distance["n"], page["data"]["t"]) == ([2.0, 4.125], 4, {4: 3.1824})
    assert distance["se"] == [0.408, 0.427]
    said = "Distance to the target in the end is best, 2.00 ± 0.41, with Number of groups K 2"
    assert page["summary"][0] == f"{said}; paired differences tell it from the next."
    assert page["summary"][-1].startswith("Here the points of 2 seeds are one")
    points = points_table(**{"tournament.score": ["l1", "l2"], "seed": [0, 1]})
    assert plan(points).averaged == ("seed",)
    assert plan(points.drop(columns="tournament.score").head(2).assign(seed=[0, 1])).x == "seed"


def test_the_best_point_is_told_from_the_next_by_paired_differences_alone(tmp_path: Path) -> None:
    fields = {"tournament.n_groups": [2, 2, 3, 3, 4, 4]}
    distances = [1.0, 3.0, 1.01, 3.01, 9.0, 9.0]
    (said, *_) = swept(tmp_path / "s", fields, final_distance=distances)["summary"]
    assert said.endswith(
        "2.0 ± 1.0, with Number of groups K 2; paired differences tell it from the next."
    )  # all runs, by the same
    (said, *_) = swept(tmp_path / "u", fields, final_distance=[1.0, 3.0, 3.0, 1.01, 9.0, 9.0])["summary"]
    assert said.endswith("with Number of groups K 2; paired differences do not tell it from the next.")
    (said, *_) = swept(tmp_path / "t", fields, pearson_accurate=[0.5, 0.7] * 3)["summary"]
    assert said == "Points agree alike with Shapley values, at r = 0.60 ± 0.10, in all 3 points."
    (said, *_) = swept(tmp_path / "v", fields, pearson_accurate=[0.5, 0.7, 0.7, 0.5, 0.1, 0.2])["summary"]
    assert (
        said
        == "Points agree best with Shapley values, at r = 0.60 ± 0.10, with Number of groups K 2, and alike in 1 more."
    )
