"""One way through an LLM run: contributions, baselines, rounds, reports.

The work is done in stages, each a function of the configuration and the stages before; what a stage leaves (a record and an
adapter) can be kept, so that a run that was stopped repeats the stage it was in and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.llm.judging import Judge, make_judge, prompts_of
from crowd_sim.llm.records import Report, Round
from crowd_sim.llm.services import Learners
from crowd_sim.llm.tournament import State, advance, play, report, start, tuned_alone
from crowd_sim.llm.values import LlmValues, Valuer, value_runs
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import Facts, Tuning
from crowd_sim.models.tuning import Key
from crowd_sim.progress import Progress, quiet

Stage = tuple[dict[str, Any], Adapter | None]
"""What a stage leaves: a record that JSON can hold, and an adapter."""


class Memo(Protocol):
    """Keeps stages; `forget` is the one that keeps none."""

    def __call__(self, name: str, make: Callable[[], Stage]) -> Stage:
        """What the stage of this name left, made if it is not there."""


def forget(name: str, make: Callable[[], Stage]) -> Stage:
    """Make a stage and keep nothing."""
    del name
    return make()


@dataclass(frozen=True, eq=False)
class LlmOutcome:
    """An LLM configuration's runs.

    Attributes:
        config: the configuration.
        contributions: of the workers that took part.
        facts: of the learner.
        judge: what outputs were held against.
        rounds: of all runs, in order.
        reports: of all models of all runs, in order.
        models: the final adapter of each run.
        points: float64[B, n], at the end.
        values: what the workers were worth; None with method `none`.
    """

    config: RunConfig
    contributions: Contributions
    facts: Facts
    judge: Judge
    rounds: tuple[Round, ...]
    reports: tuple[Report, ...]
    models: tuple[Adapter, ...]
    points: NDArray[np.float64]
    values: LlmValues | None


def simulate_llm(
    config: RunConfig,
    contributions: Contributions,
    learners: Learners,
    valuer: Valuer,
    progress: Progress = quiet,
    memo: Memo = forget,
) -> LlmOutcome:
    """Play the tournament of every run, with its baselines, and value its workers.

    Raises:
        InputError: an example too long, or a baseline of more examples than there are.
    """
    facts = check(config, contributions, learners)
    judge = make_judge(config, contributions, learners.embed(contributions.target_texts))
    total = config.runs * (len(_baselines(config)) + config.tournament.rounds)
    rounds: list[Round] = []
    reports: list[Report] = []
    models: list[Adapter] = []
    points: list[NDArray[np.float64]] = []
    for run in range(config.runs):
        simulation = _Run(config, contributions, judge, learners, run, memo)
        for stage in simulation.stages():
            reports.append(stage)
            progress("stages", len(reports), total, f"run {run}: {stage.name.replace('_', ' ')}")
        rounds += simulation.rounds
        models.append(simulation.model)
        points.append(simulation.state.points[0])
    values = value_runs(config, contributions, judge, learners, np.array(points), valuer, progress)
    return LlmOutcome(
        config, contributions, facts, judge, tuple(rounds), tuple(reports), tuple(models), np.array(points), values
    )


def check(config: RunConfig, contributions: Contributions, learners: Learners) -> Facts:
    """Refuse what would fail later, in the middle of the work; what a run records of its learner.

    Raises:
        InputError: a text or a prompt that the learner cannot take, or that its Φ was fitted to.
    """
    prompts = tuple(dict.fromkeys(prompt for own in prompts_of(config, contributions) for prompt in own))
    # first-order values look at the target's texts, too
    validation = contributions.validation() if config.valuation.method != "none" else ()
    return learners.facts(contributions, prompts, validation)


class _Run:
    """One run on its way."""

    def __init__(
        self,
        config: RunConfig,
        contributions: Contributions,
        judge: Judge,
        learners: Learners,
        run: int,
        memo: Memo,
    ) -> None:
        self._config, self._contributions, self._judge = config, contributions, judge
        self._learners, self._run, self._memo = learners, run, memo
        self._initial = learners.initial(config.seed, run)
        self.model: Adapter = self._initial
        self.state: State = start(contributions.n_workers)
        self.rounds: list[Round] = []

    def stages(self) -> Iterator[Report]:
        """The reports, one after another; the single model of equal tokens comes last, as only then it is known how many."""
        names = _baselines(self._config)
        examples = self._contributions.in_turn()
        yield (base := self._baseline("base", 0, examples[:0], None))
        for number, name in enumerate(names):
            if name.startswith("single_") and name != EQUAL_TOKENS:
                yield self._baseline(name, number, examples[: int(name.removeprefix("single_"))], None)
        before, trained, generated, seconds = base, 0, 0, 0.0
        for number in range(1, self._config.tournament.rounds + 1):
            record, now = self._round(number)
            trained += sum(record.candidate_tokens)
            generated += record.tokens_generated
            seconds += record.seconds
            # a model that stayed the same keeps its report: other outputs of it would look like a change
            before = replace(
                now or before,
                name=f"round_{number}",
                tokens_trained=trained,
                tokens_generated=generated,
                seconds=seconds,
            )
            yield before
        if EQUAL_TOKENS in names:
            yield self._baseline(EQUAL_TOKENS, names.index(EQUAL_TOKENS), examples, trained)

    def _baseline(self, name: str, number: int, examples: tuple[Example, ...], n_tokens: int | None) -> Report:
        key = Key(self._config.seed, self._run, 0, number)

        def make() -> Stage:
            if not examples:
                return asdict(report(self._judge, self._learners, name, key, self._initial, (0, 0), 0.0)), None
            tuned, seconds = tuned_alone(self._learners, Tuning(self._initial, examples, key, n_tokens))
            made = report(self._judge, self._learners, name, key, tuned.adapter, (tuned.n_tokens, 0), seconds)
            return asdict(made), None

        record, _ = self._memo(f"run-{self._run}-{name}", make)
        return _report(record)

    def _round(self, number: int) -> tuple[Round, Report | None]:
        def make() -> Stage:
            record, model = play(
                self._config, self._contributions, self._judge, self._learners, self._run, self.state, self.model
            )
            own = None
            if record.accepted:
                key = Key(self._config.seed, self._run, number, 0)
                own = asdict(report(self._judge, self._learners, f"round_{number}", key, model, (0, 0), 0.0))
            return {"round": asdict(record), "report": own}, model

        content, model = self._memo(f"run-{self._run}-round-{number}", make)
        if model is None:
            raise ValueError(f"the stage of round {number} has no adapter")
        record = Round(**{name: _tuples(value) for name, value in content["round"].items()})
        self.state = advance(self._config, self._contributions, self.state, record)
        self.model = model
        self.rounds.append(record)
        return record, _report(content["report"]) if content["report"] else None


EQUAL_TOKENS = "single_equal_tokens"


def _baselines(config: RunConfig) -> list[str]:
    singles = [f"single_{m}" for m in config.lora.single_sizes]
    return ["base", *singles, *([EQUAL_TOKENS] if config.lora.equal_tokens else [])]


def _report(content: dict[str, Any]) -> Report:
    return Report(**{name: _tuples(value) for name, value in content.items()})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
