"""`crowd-sim run` of a configuration with a section `llm`: from the crowd's texts to a folder with tables and an adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.llm import RayLearners
from crowd_sim.actors.placement import required_by_llm_run, reserved
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.cli.progress import shown
from crowd_sim.cli.run import IN_PROCESS
from crowd_sim.cli.signals import stoppable
from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Contributions
from crowd_sim.errors import StorageError
from crowd_sim.files import write_json
from crowd_sim.host import Host, InProcess
from crowd_sim.llm.checkpoints import FolderMemo
from crowd_sim.llm.experiment import LlmOutcome, Memo, Stage, check, simulate_llm
from crowd_sim.llm.people import learner_spec, load_contributions
from crowd_sim.llm.run_folder import llm_fingerprint, open_llm_run, write_llm_run
from crowd_sim.llm.services import Learners
from crowd_sim.llm.tables import model_names, models_table
from crowd_sim.models.lora import shared_learner
from crowd_sim.progress import Progress, quiet
from crowd_sim.report import write_report
from crowd_sim.report.labels import phi_words, short_model_words
from crowd_sim.report.llm_numbers import distance_words
from crowd_sim.store.run_log import Record
from crowd_sim.valuation import CachedGame, Game, ShapleyResult


@dataclass(frozen=True)
class FinishedLlm:
    """An LLM run that is over: its folder, what came out, the seconds it took from start to last table."""

    folder: Path
    outcome: LlmOutcome
    seconds: float


def run_llm(config: RunConfig, name: str, out: Path | None, ray_address: str | None, console: Console) -> FinishedLlm:
    """Tune, judge, select, value, write, draw; what was done before an interruption is not done again.

    Args:
        config: with a section `llm`.
        name: of the configuration; names the folder where `out` does not.
        out: the run folder; absent: runs/<name>-<fingerprint>.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` runs in process.
        console: where progress is shown.

    Raises:
        InputError: texts, model or folder that cannot be used.
        ClusterError: no cluster, or one that is too small, or that fails more often than allowed.
        StorageError: the folder cannot be written any more.
    """
    contributions = load_contributions(config)
    folder = out or Path("runs") / f"{name}-{llm_fingerprint(config, contributions)[:8]}"
    start = time.perf_counter()
    with (
        stoppable(),
        _hosted(config, ray_address, folder.name) as (learners, host, measures),
        shown(console) as progress,
    ):
        outcome = play(config, contributions, folder, learners, host, progress, measures)
    seconds = time.perf_counter() - start
    if diverged := sum(record.n_diverged for record in outcome.rounds):
        total = sum(len(record.candidate_scores) for record in outcome.rounds)
        console.print(
            f"{diverged} of {total} candidates diverged in tuning and could not win: try a lower llm.learning_rate"
        )
    write_json(folder / "timing.json", {"seconds": seconds, "ray_address": ray_address})
    return FinishedLlm(folder, outcome, seconds)


def play(
    config: RunConfig,
    contributions: Contributions,
    folder: Path,
    learners: Learners,
    host: Host,
    progress: Progress = quiet,
    measures: RunMetrics | None = None,
) -> LlmOutcome:
    """Simulate a configuration's runs, going on from what the folder holds, and write their tables and adapters.

    Args:
        config: with a section `llm`.
        contributions: of its crowd.
        folder: of the run.
        learners: who tunes and judges.
        host: of the evaluators.
        progress: told how far it is.
        measures: of the actors that learners and host are on, if they are.

    Raises:
        InputError: texts that are too long, or a folder that cannot be used, or in which another process is at work.
    """
    facts = check(config, contributions, learners)  # what cannot be done is refused before a folder is made
    opened = open_llm_run(folder, config, contributions, facts.weights)
    with opened as print_of, Record(folder, print_of, config.runs * contributions.n_workers) as record:

        def both(stage: str, done: int, total: int, note: str = "", /) -> None:
            progress(stage, done, total, note)
            record.progress(stage, done, total, note)

        memo = _recorded(FolderMemo(folder / "checkpoints"), record, measures, contributions.n_workers)
        try:
            outcome = simulate_llm(config, contributions, learners, _valuer(host, folder, print_of), both, memo)
        except BaseException:
            with suppress(StorageError):  # why it stopped is what counts, and may be just that
                _tell_failures(record, measures)
            raise
        _tell_failures(record, measures)
        write_llm_run(folder, outcome, print_of)
        write_report(folder)
    return outcome


def _recorded(memo: Memo, record: Record, measures: RunMetrics | None, n_workers: int) -> Memo:
    """A memo whose stages are noted in the run's log and status, and their actors' failures with them."""

    def stage(name: str, make: Callable[[], Stage]) -> Stage:
        began = time.perf_counter()
        made = False

        def making() -> Stage:
            nonlocal made
            made = True
            return make()

        left = memo(name, making)
        _tell_failures(record, measures)
        _, is_round, number = name.rpartition("-round-")
        record.kept(name, int(number) if is_round else 0, time.perf_counter() - began if made else None)
        if measures is not None and is_round and made:
            measures.played(1, n_workers)
        return left

    return stage


def _tell_failures(record: Record, measures: RunMetrics | None) -> None:
    if measures is not None:
        for event in measures.take_events():
            record.tell(event.name, at=event.time, **event.details)
        record.failed(measures.failures)


@contextmanager
def _hosted(
    config: RunConfig, ray_address: str | None, name: str
) -> Iterator[tuple[Learners, Host, RunMetrics | None]]:
    spec = learner_spec(config)
    if ray_address == IN_PROCESS:
        yield shared_learner(spec), InProcess(), None
        return
    need = required_by_llm_run(config.actors)
    with connected(ray_address, need), reserved(need) as group:
        measures = RunMetrics(name)
        with closing(RayLearners(spec, config.actors, measures, group)) as learners:
            yield learners, RayHost(config.actors, measures, group), measures


def _valuer(host: Host, folder: Path, print_of: str) -> Callable[..., ShapleyResult]:
    """Evaluators for one run's game, its utilities kept in the run folder."""

    def valued(game: Game, run: int, value: Callable[[Any], ShapleyResult]) -> ShapleyResult:
        kept = CachedGame(game, folder / "utilities", f"{print_of}-{run}")
        with host.evaluators([kept]) as evaluators:
            return value(lambda chunks: evaluators.utilities([0], chunks))

    return valued


def llm_table(finished: FinishedLlm) -> Table:
    """The models of a run in a few lines: mean distance of fresh outputs over all runs, and what they took."""
    outcome = finished.outcome
    models = models_table(outcome)
    table = Table(
        title=f"distance to {_target_words(outcome.config)}, Φ = {phi_words(outcome.facts.phi)}",
        caption="trained and generated: tokens",
        box=box.SIMPLE_HEAD,  # millions of tokens and minutes of seconds are to fit into 80 columns
        collapse_padding=True,
        pad_edge=False,
    )
    for column in ("model", "distance ± s.e.", "distinct", "copied", "trained", "generated", "s"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for name in model_names(outcome):
        own = models[models["model"] == name]
        table.add_row(
            short_model_words(name),
            distance_words(own),
            *(f"{own[share].mean():.0%}" for share in ("distinct", "copied")),
            f"{own['tokens_trained'].mean():,.0f}",
            f"{own['tokens_generated'].mean():,.0f}",
            f"{own['seconds'].mean():.1f}",
        )
    return table


def _target_words(config: RunConfig) -> str:
    target = str(config.crowd.target)
    return Path(target).name if config.crowd.source == "feedback" else target
