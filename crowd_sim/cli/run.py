"""What `crowd-sim run` shows: how far it is, and the outcome as a table."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from crowd_sim.characters import visible
from crowd_sim.cli.signals import stoppable
from crowd_sim.commands.progress import shown
from crowd_sim.commands.run import Finished
from crowd_sim.commands.run import run as run_config
from crowd_sim.config import RunConfig
from crowd_sim.metrics import independent, mean_and_error, mean_and_se
from crowd_sim.outcome import Outcome
from crowd_sim.tasks.tables import tables_of
from crowd_sim.trackers import Named

if TYPE_CHECKING:  # a run's start does without
    import pandas as pd

_SAMPLES = 3
"""Prompts whose outputs are shown."""
_NAMED = 3
"""Workers named as having most points, as over- and as underpaid."""


def run(
    config: RunConfig,
    name: str,
    out: Path | None,
    ray_address: str | None,
    console: Console,
    accept_changes: bool = False,
    trackers: Sequence[Named] = (),
) -> Finished:
    """See `crowd_sim.commands.run.run`; progress is shown on the console."""
    with stoppable(), shown(console) as progress:
        finished = run_config(
            config,
            out,
            name=name,
            ray_address=ray_address,
            progress=progress,
            accept_changes=accept_changes,
            trackers=trackers,
        )
        _say_diverged(finished.outcome, console)
        _say_remarks(finished.outcome, console)
    return finished


def _say_remarks(outcome: Outcome, console: Console) -> None:
    if outcome.config.task.kind in ("classify", "prefer", "verify"):
        for remark in outcome.details.crowd.remarks:
            console.print(visible(remark), markup=False, highlight=False)


def _say_diverged(outcome: Outcome, console: Console) -> None:
    if outcome.config.task.kind != "imitate":
        return
    rounds = outcome.details.rounds
    if diverged := sum(record.n_diverged for record in rounds):
        total = sum(len(record.candidate_scores) for record in rounds)
        console.print(
            f"{diverged} of {total} candidates diverged in tuning and could not win: try a lower task.learning_rate"
        )


def outcome_table(finished: Finished) -> RenderableType:
    """The outcome in a few lines: means over the runs and their standard errors; of texts a few outputs, too."""
    outcome = finished.outcome
    if outcome.config.task.kind == "imitate":
        return Group(_text_table(finished), _samples(outcome))
    if outcome.config.task.kind != "vector":
        return _choice_table(finished)
    config = outcome.config
    method = " and ".join(sorted(set(outcome.methods)))
    n_runs = f"{config.runs} run{'s' * (config.runs != 1)}"
    table = Table(title=f"{config.crowd.n_workers} workers in {config.tournament.n_groups} groups, {n_runs}")
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("± s.e.", justify="right")
    near = f"{config.tournament.convergence_distance:g}"
    _, _, converged = mean_and_error(outcome.metrics["rounds_to_converge"])
    names = {
        "final_distance": "distance to the target at the end",
        "rounds_to_converge": f"rounds to come within {near} ({converged} of {n_runs})",
        "pearson_accurate": f"Pearson, points with Shapley values ({method})",
        "spearman_accurate": f"Spearman, points with Shapley values ({method})",
        "pearson_kernel_shap": f"Pearson, points with Kernel SHAP at {config.valuation.kernel_shap_budget:,}",
        "pay_per_head": "pay per head of the bad, over the others'",
        "pay_sybil_gain": "pay of a person with accounts, over one with one",
        "screens_found": "share of the bad flagged by screens",
        "screens_false_alarms": "share of the others flagged by screens",
    }
    mean, error, _ = mean_and_error(outcome.history.distances[0])
    table.add_row("distance to the target at the start", _number(mean), _number(error))
    for metric, words in names.items():
        if metric not in outcome.metrics:  # of payment and screens, which are not always there
            continue
        mean, error, known = mean_and_error(outcome.metrics[metric])
        if known or metric == "rounds_to_converge":
            table.add_row(words, _number(mean), _number(error))
        if metric == "pearson_accurate" and known and (among := _among_the_others(outcome)) is not None:
            table.add_row("the same, of those not excluded by screens", *map(_number, among))
    table.add_row("seconds", "–" if isnan(finished.seconds) else f"{finished.seconds:.1f}", "")
    return table


def _among_the_others(outcome: Outcome) -> tuple[float, float] | None:
    """The correlation and its error among those whom screens have not excluded; None where they have excluded nobody."""
    if outcome.screened is None or not outcome.screened.flagged.any():
        return None
    from crowd_sim.report.worth import agreement_of_the_others, excluding

    if not excluding(outcome.config.model_dump()):
        return None
    return agreement_of_the_others(tables_of(outcome.config.task.kind).TABLES["workers"](outcome))[:2]


def workers_view(outcome: Outcome) -> Table:
    """The workers with most points, and those whom points place furthest above and below their values."""
    # their tables need pandas, which would delay a run's start
    from crowd_sim.report.page import worth_numbers
    from crowd_sim.report.worth import by_worker, excluding, got_by, marks, over_and_underpaid, worth

    excludes = excluding(outcome.config.model_dump()) and outcome.screened is not None
    table = by_worker(worth(tables_of(outcome.config.task.kind).TABLES["workers"](outcome), excludes))
    over, under = over_and_underpaid(table, _NAMED)
    several, valued = outcome.config.runs > 1, "value" in table
    said = [
        f"over- and underpaid: by {got_by(table)}" if valued else "",
        "intervals: of the values, not over runs" if valued and several else "",
        _excluded(table) if excludes else "",
    ]
    view = Table(
        title="Who was worth what" + (" (means over a worker's runs)" if several else ""),
        caption="; ".join(filter(None, said)),
        box=box.SIMPLE_HEAD,  # a pay and marks are to fit into 80 columns
        collapse_padding=True,
        pad_edge=False,
    )
    heads = [
        "",
        "worker",
        *(["runs"] if several else []),
        "points",
        *(["value", "95 % interval", "gap"] if valued else []),
    ]
    for head in [*heads, *(["pay"] if "pay" in table else [])]:
        # a worker's name and marks are broken before a number is cut off
        justify: Literal["left", "right"] = "left" if head in ("", "worker") else "right"
        view.add_column(head, justify=justify, no_wrap=head != "worker", overflow="fold")
    for words, rows in (("most points", table.head(_NAMED)), ("overpaid", over), ("underpaid", under)):
        for i, row in enumerate(rows.to_dict("records")):
            marked = f" ({words_of})" if (words_of := marks(row, excludes)) else ""
            name = Text(visible(str(row["worker"])) + marked)
            runs = [str(row["runs"])] if several else []
            view.add_row("" if i else words, name, *runs, *worth_numbers(row), end_section=i + 1 == len(rows))
    return view


def _excluded(table: pd.DataFrame) -> str:
    """Whom screens have excluded, in any run."""
    names = [visible(str(name)) for name in table.loc[table["flagged"] > 0, "worker"]]
    first = ", ".join(names[: 2 * _NAMED]) + (f" and {len(names) - 2 * _NAMED} more" if len(names) > 2 * _NAMED else "")
    return f"excluded by screens, without points or pay: {first or 'nobody'}"


def _number(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3g}"


def _choice_table(finished: Finished) -> Table:
    """How often the model is right before the first round and in the end, on items that selection has not seen."""
    # their tables need pandas, which would delay a run's start
    from crowd_sim.report.choice_page import item_values
    from crowd_sim.tasks.choose.tables import choice_metrics
    from crowd_sim.tasks.verify.tables import verify_metrics

    outcome = finished.outcome
    verified, items = outcome.config.task.kind == "verify", len(outcome.details.crowd.report)
    found = (verify_metrics if verified else choice_metrics)(outcome)
    names = ("reward", "distinct") if verified else ("log_likelihood", "calibration_error")
    of_items = tables_of(outcome.config.task.kind).TABLES["items"](outcome)
    over = "over the items, by prompt" if outcome.config.runs == 1 else "over the runs"
    took = "" if isnan(finished.seconds) else f"; {finished.seconds:.1f} seconds"
    table = Table(title=f"{items} items of the report, floor {found['floor'][0]:.3g}", caption=f"± s.e.: {over}{took}")
    for column in ("", "before", "after", "± s.e."):
        table.add_column(column, justify="right" if column else "left")
    for name in ("accuracy", *names):
        before, after = (mean_and_error(found[f"{name}_{when}"]) for when in ("before", "after"))
        error = after[1]
        if outcome.config.runs == 1:
            own, prompts = item_values(name, "after", of_items), of_items["prompt"].tolist()
            if name == "accuracy":
                error = (after[0] * (1 - after[0]) / independent(own, prompts)) ** 0.5  # binomial
            else:
                error = nan if own is None else mean_and_se(own, prompts)[1]
        table.add_row(name.replace("_", " "), _number(before[0]), _number(after[0]), _number(error))
    for name in (name for name in found if name.startswith("win_rate_") and name != "win_rate_before"):
        rate = mean_and_error(found[name])  # of outputs against those of the model before
        table.add_row(name.replace("_", " "), "0.5", _number(rate[0]), _number(rate[1]))
    return table


def _text_table(finished: Finished) -> Table:
    """The models of a run in a few lines: how far fresh outputs are, whose words they have, and what they took.

    A concentrated model is marked.
    """
    # their tables need pandas, which would delay a run's start
    from crowd_sim.report.labels import phi_words, short_model_words
    from crowd_sim.report.llm_numbers import MARK, distance_words, energy_words, is_concentrated
    from crowd_sim.tasks.imitate.tables import model_names, models_table

    outcome = finished.outcome
    models = models_table(outcome)
    table = Table(
        title=visible(f"distance to {_target_words(outcome.config)}, Φ = {phi_words(outcome.details.info.phi)}"),
        caption=_caption(outcome),
        box=box.SIMPLE_HEAD,  # millions of tokens and minutes of seconds are to fit into 80 columns
        collapse_padding=True,
        pad_edge=False,
    )
    for column in ("model", "energy ± s.e.", "distance", "distinct", "5-grams", "trained", "s"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for name in model_names(outcome):
        own = models[models["model"] == name]
        table.add_row(
            short_model_words(name) + (MARK if is_concentrated(own) else ""),
            energy_words(own),
            distance_words(own).partition(" ")[0],
            *(f"{own[share].mean():.0%}" for share in ("distinct", "copied_5grams")),
            f"{own['tokens_trained'].mean():,.0f}",
            f"{own['seconds'].mean():.1f}",
        )
    return table


def _samples(outcome: Outcome) -> Table:
    """What the first run's model says to a few prompts, before the first round and in the end."""
    reports = {report.name: report for report in outcome.details.reports if report.run == 0}
    before, after = reports["base"], reports[f"round_{outcome.config.tournament.rounds}"]
    view = Table(title="What the model says", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for head in ("prompt", "before", "after"):
        view.add_column(head, ratio=2 if head == "prompt" else 3, overflow="fold")
    for prompt in list(dict.fromkeys(after.prompts))[:_SAMPLES]:
        said = (prompt, *(report.texts[report.prompts.index(prompt)] for report in (before, after)))
        view.add_row(*(Text(visible(" ".join(text.split()))) for text in said))
    return view


def _caption(outcome: Outcome) -> str:
    floor = outcome.details.floor
    if floor is None:
        return "trained: tokens"
    kind = "held-out texts" if outcome.config.crowd.held_out else "target's texts"
    return (
        f"energy: to the {kind}, whose own distance is {floor.distance:.3g}; 5-grams: those copied; trained: tokens; "
        "*: concentrated, nearer by less variety or by copying"
    )


def _target_words(config: RunConfig) -> str:
    if config.crowd.target is None:
        return "the crowd's own texts"
    target = str(config.crowd.target)
    return target if config.crowd.source == "goemotions" else Path(target).name
