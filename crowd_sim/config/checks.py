"""What a task supports, and what is checked across the sections of a configuration.

`SUPPORT` is the one table: the refusals below are made from it, and the reference in the documents is, too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from pydantic import BaseModel

from crowd_sim.config.actors import ActorsConfig
from crowd_sim.config.bad import BadConfig, groups_of
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.payment import LABEL_RULES, PaymentConfig
from crowd_sim.config.screens import ScreensConfig
from crowd_sim.config.task import OBJECTIVES_OF, OF_CHOICES, OF_OWN_OUTPUTS, OF_REWARDS, TEXT_SOURCES, TaskConfig
from crowd_sim.config.tournament import DEFENCES, EXPLOITING, MERGING, CalibrationConfig, TournamentConfig
from crowd_sim.config.valuation import ValuationConfig
from crowd_sim.crowd.aggregation.multi_krum import LARGEST_GROUP, too_large
from crowd_sim.crowd.bad import bounds_of
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS
from crowd_sim.crowd.behaviours.labels import LABEL_BEHAVIOURS
from crowd_sim.crowd.behaviours.texts import TEXT_BEHAVIOURS
from crowd_sim.crowd.screens import LABEL_SCREENS, PAIR_SCREENS, TEXT_SCREENS, VECTOR_SCREENS
from crowd_sim.crowd.sources.by_name import FILE_SOURCES
from crowd_sim.errors import InputError
from crowd_sim.payment.merging import MOST_MERGED
from crowd_sim.payment.rules import GAME_RULES, LEAST_BUDGET, MOST_SAMPLED
from crowd_sim.registry import NAMES, check_strategy
from crowd_sim.valuation.requirements import check_budget


@dataclass(frozen=True)
class Support:
    """What a task supports.

    Attributes:
        sources: of its crowd; user-defined ones besides where `user_sources`.
        searches: values of tournament.search.
        methods: values of valuation.method.
        bad: values of crowd.bad.behaviour, or of each in a list of these; user-defined ones besides.
        unused: fields that mean nothing to it and must keep their defaults, as ``section.field``.
        retrains: whether every evaluation of its game tunes a model.
        most_exact: workers at most whom valuation.method=exact can value; None: what the estimator says.
    """

    sources: tuple[str, ...]
    user_sources: bool
    searches: tuple[str, ...]
    methods: tuple[str, ...]
    bad: tuple[str, ...]
    unused: tuple[str, ...]
    retrains: bool = False
    most_exact: int | None = None


_OF_NOISE = ("task.label_smoothing", "task.sft_weight")
_OF_PAIRS = ("task.objective", "task.beta", "task.kl", "task.sft_epochs", *_OF_NOISE)
_ASKING = ("task.generation", "task.verifier")
_EXAMPLES = {"prefer": ("example_feedback",), "verify": ("example_answers",)}
_OF_RECORDS = ("classify", "prefer", "verify")
_DEFENCES_OF_POINTS = tuple(f"tournament.{name}" for name in DEFENCES if name not in EXPLOITING)
_RETRAINING = ("none", "exact", "permutation", "kernel_shap", "surrogate")

SUPPORT = {
    "vector": Support(
        sources=tuple(NAMES["source"]),
        user_sources=True,
        searches=("best", *MERGING),
        methods=tuple(NAMES["method"]),
        bad=tuple(NAMES["bad.behaviour"]),
        unused=(
            "crowd.target",
            "crowd.held_out",
            "crowd.records",
            *(f"task.{name}" for name in TaskConfig.model_fields if name != "kind"),
        ),
    ),
    "imitate": Support(
        sources=TEXT_SOURCES,
        user_sources=False,
        searches=("best", *MERGING, "halving"),
        methods=_RETRAINING,
        bad=tuple(TEXT_BEHAVIOURS),
        unused=(
            "crowd.behaviour",
            "tournament.step",
            "tournament.initial_range",
            "tournament.convergence_distance",
            *_DEFENCES_OF_POINTS,
            *_OF_NOISE,
            "task.kl",
            "task.verifier",
            *(f"task.{name}" for name in OF_CHOICES),
        ),
        retrains=True,
        most_exact=8,  # it tunes a model for each of 2^n coalitions
    ),
} | {
    kind: Support(
        sources=("records", *_EXAMPLES.get(kind, ())),
        user_sources=False,
        searches=("best", *MERGING) if kind == "verify" else ("best", *MERGING, "halving"),
        methods=_RETRAINING,
        bad=tuple(LABEL_BEHAVIOURS),
        unused=(
            "crowd.behaviour",
            "tournament.score",
            "tournament.step",
            "tournament.initial_range",
            "tournament.convergence_distance",
            *_DEFENCES_OF_POINTS,
            *("task.phi", "task.judged_by", "task.single_sizes", "task.equal_tokens"),
            *own,
        ),
        retrains=True,
        most_exact=8,
    )
    for kind, own in {
        "classify": (*_OF_PAIRS, "task.generation", "task.verifier"),
        "prefer": ("task.question", *_ASKING),
        "verify": (*_OF_NOISE, "task.beta", "task.question", "task.expert_epochs"),
    }.items()
}


def check_sections(
    crowd: CrowdConfig,
    tournament: TournamentConfig,
    valuation: ValuationConfig,
    task: TaskConfig,
    payment: PaymentConfig | None,
    screens: ScreensConfig | None,
) -> None:
    """Refuse what the task, or the sections together, do not allow.

    Raises:
        InputError: names the first field that is wrong.
    """
    support = SUPPORT[task.kind]
    if tournament.n_groups > crowd.n_workers:
        allowed = f"must be at most crowd.n_workers, {crowd.n_workers}"
        raise InputError("tournament.n_groups", tournament.n_groups, allowed)
    _check_source(crowd, task.kind, support)
    sections = {"crowd": crowd, "tournament": tournament, "valuation": valuation, "task": task}
    asking = (*_ASKING, "task.phi") if task.kind == "prefer" and task.asks_rewards else ()
    if screens is not None and screens.asks_peers:
        asking = (*asking, "task.phi")
    for name in (name for name in support.unused if name not in asking):
        section, field = name.split(".")
        _check_default(sections[section], section, field, task.kind)
    if task.kind != "vector":
        _check_objective(task)
    if task.kind in _OF_RECORDS and task.expert is None and crowd.held_out >= 0.5:
        allowed = "must be below 0.5 without task.expert: as much is held out for selection and again for the report"
        raise InputError("crowd.held_out", crowd.held_out, allowed)
    if "expert" in task.baselines and task.expert is None:
        raise InputError("task.expert", None, "must be given with task.baselines=expert")
    if task.asks_rewards:
        _check_rewards(task)
    _check_bad(crowd, task.kind, support)
    _check_search(crowd, tournament, task.kind, support)
    _check_parts(tournament, task)
    _check_calibrated(crowd, tournament)
    _check_exploiting(tournament, task.kind)
    largest = crowd.n_workers if tournament.exploit_every else ceil(crowd.n_workers / tournament.n_groups)
    if tournament.aggregation == "multi_krum" and largest > LARGEST_GROUP:
        raise InputError("tournament.aggregation", "multi_krum", too_large(largest))
    _check_valuation(crowd, tournament, valuation, task.kind, support)
    if screens is not None:
        _check_screens(screens, crowd, task)
    if payment is not None:
        _check_payment(crowd, tournament, valuation, payment, task.kind, support)


def check_generators(actors: ActorsConfig, task: TaskConfig) -> None:
    """Refuse generators where nothing is judged by outputs.

    Raises:
        InputError: there are some.
    """
    if actors.generators.number and task.kind not in ("imitate", "verify") and not task.asks_rewards:
        allowed = f"must be 0 with task.kind={task.kind}, which is not judged by outputs"
        raise InputError("actors.generators.number", actors.generators.number, allowed)


def _check_objective(task: TaskConfig) -> None:
    objective, known, least = task.objective, OBJECTIVES_OF[task.kind], task.unit_tokens
    if objective not in known:
        raise InputError("task.objective", objective, f"must be one of {', '.join(known)} with task.kind={task.kind}")
    if task.quantization != "none" and task.engine == "vllm":
        allowed = "must be none with task.engine=vllm, which has the weights as they are"
        raise InputError("task.quantization", task.quantization, allowed)
    if task.row_tokens is not None and task.row_tokens < least:
        what = "twice task.max_tokens" if least == 2 * task.max_tokens else "task.max_tokens"
        if objective in OF_OWN_OUTPUTS:
            what = "task.max_tokens and task.generation.max_new_tokens together"
        raise InputError("task.row_tokens", task.row_tokens, f"must be at least {what}, {least}")
    if objective == "sft" and task.kind == "imitate" and task.beta != _default(TaskConfig, "beta"):
        raise InputError("task.beta", task.beta, "must be left out without task.objective=spin")
    if objective == "sft" and task.sft_epochs:
        raise InputError("task.sft_epochs", task.sft_epochs, "must be left out with task.objective=sft: task.epochs")
    if task.kind == "verify":
        _check_verifier(task)
    if not task.reinforces and task.kl != _default(TaskConfig, "kl"):
        where = "task.objective" if task.kind == "verify" else "task.baselines"
        raise InputError("task.kl", task.kl, f"must be left out without {where}=rloo")
    if task.objective != "dpo" and task.label_smoothing:
        raise InputError("task.label_smoothing", task.label_smoothing, "must be left out without task.objective=dpo")
    if task.objective not in ("dpo", "ipo") and task.sft_weight:
        raise InputError("task.sft_weight", task.sft_weight, "must be left out without task.objective=dpo or ipo")


def _check_rewards(task: TaskConfig) -> None:
    if task.kind != "prefer":
        allowed = f"must be among expert, single with task.kind={task.kind}: a reward model is one of pairs"
        raise InputError("task.baselines", list(task.baselines), allowed)
    for name in ("kind", "pattern"):
        _check_default(task.verifier, "task.verifier", name, task.kind)
    _check_generation(task, f"task.baselines={' or '.join(OF_REWARDS)}")


def _check_generation(task: TaskConfig, what: str) -> None:
    """Outputs to the items' prompts, that `what` compares."""
    for name in ("selection_outputs", "report_outputs", "selection_prompts", "report_prompts"):
        _check_default(task.generation, "task.generation", name, task.kind)
    if what and not task.generation.temperature:
        raise InputError("task.generation.temperature", 0.0, f"must be above 0 with {what}, which compares outputs")


def _check_verifier(task: TaskConfig) -> None:
    _check_generation(task, f"task.objective={task.objective}" if task.objective in OF_OWN_OUTPUTS else "")
    verifier = task.verifier
    if (verifier.kind == "regex") != (verifier.pattern is not None):
        must = "given with" if verifier.kind == "regex" else "left out without"
        raise InputError("task.verifier.pattern", verifier.pattern, f"must be {must} task.verifier.kind=regex")


def _check_screens(screens: ScreensConfig, crowd: CrowdConfig, task: TaskConfig) -> None:
    kind, known = task.kind, _screens_of(task.kind)
    if kind == "verify":
        raise InputError(
            "screens.action", screens.action, "must be left out with task.kind=verify, which has no screens"
        )
    for name in screens.use:
        if name not in known:
            raise InputError("screens.use", name, f"must be among {', '.join(known)} with task.kind={kind}")
    if "expert" in known and "expert" in (screens.use or ("expert",)) and task.expert is None:
        raise InputError("task.expert", None, f"must be given with screens and task.kind={kind}: it is what screens")
    if screens.asks_peers and crowd.n_workers < 2:
        raise InputError("screens.use", "peers", "must be left out with crowd.n_workers=1: it asks the others")
    if screens.action == "merge" and "duplicates" not in known:
        raise InputError("screens.action", "merge", f"must be report or exclude with task.kind={kind}")
    if screens.action == "merge" and screens.use and "duplicates" not in screens.use:
        raise InputError("screens.use", list(screens.use), "must list duplicates with screens.action=merge")
    if kind != "vector" and "from_round" in screens.model_fields_set:
        allowed = f"must be left out with task.kind={kind}: texts are screened before the first round"
        raise InputError("screens.from_round", screens.from_round, allowed)


def _screens_of(kind: str) -> Collection[str]:
    if kind == "vector":
        return VECTOR_SCREENS
    if kind == "prefer":
        return PAIR_SCREENS
    return TEXT_SCREENS if kind == "imitate" else LABEL_SCREENS


def _check_source(crowd: CrowdConfig, kind: str, support: Support) -> None:
    if crowd.source not in support.sources and not (support.user_sources and ":" in crowd.source):
        if crowd.source in TEXT_SOURCES and kind == "vector":
            raise InputError("crowd.source", crowd.source, "contributes texts and needs task.kind=imitate")
        allowed = f"must be one of {', '.join(support.sources)} with task.kind={kind}"
        raise InputError("crowd.source", crowd.source, allowed)
    for field, needs, given in (
        ("examples_per_worker", "crowd.source=goemotions", crowd.source == "goemotions"),
        ("max_words", "crowd.examples_per_worker", crowd.examples_per_worker is not None),
    ):
        if getattr(crowd, field) is not None and not given:
            raise InputError(f"crowd.{field}", getattr(crowd, field), f"must be left out without {needs}")
    for field in ("id_column", "separator", "decimal"):
        sources = (*FILE_SOURCES, *(("records",) if field == "separator" else ()))
        if getattr(crowd, field) is not None and crowd.source not in sources:
            allowed = f"applies to crowd.source={', '.join(sources[:-1])} and {sources[-1]} only"
            raise InputError(f"crowd.{field}", getattr(crowd, field), allowed)
    if crowd.source == "synthetic" and crowd.path is not None:
        allowed = "must be left out with crowd.source=synthetic, which reads no file: crowd.source=vectors does"
        raise InputError("crowd.path", crowd.path, allowed)
    if kind != "vector":
        _check_texts(crowd, kind)


def _check_texts(crowd: CrowdConfig, kind: str) -> None:
    if crowd.source != "records":
        _check_default(crowd, "crowd", "records", f"{kind} and crowd.source={crowd.source}")
    if crowd.source == "records" and crowd.path is None:
        raise InputError("crowd.path", None, "must be given: a file or folder of records")
    if kind in _OF_RECORDS and crowd.target is None and not crowd.held_out:
        allowed = "must be given, a file of trusted records, or else crowd.held_out: what scores and reports see"
        raise InputError("crowd.target", None, allowed)
    if kind in _OF_RECORDS and crowd.target is not None and crowd.held_out:
        raise InputError(
            "crowd.held_out", crowd.held_out, "must be left out with crowd.target, which scores and reports see"
        )
    if crowd.source == "example_answers" and crowd.target is not None:
        raise InputError("crowd.target", crowd.target, "must be left out with crowd.source=example_answers")
    if crowd.target is None and crowd.source not in ("records", "example_answers"):
        wanted = {"goemotions": "an emotion", "feedback": "a file of texts", "example_feedback": "a style"}
        raise InputError("crowd.target", None, f"must be given: {wanted[crowd.source]}, where outputs should lead")
    if crowd.source.startswith("example_") and crowd.path is not None:
        allowed = f"must be left out with crowd.source={crowd.source}, which comes with the project"
        raise InputError("crowd.path", crowd.path, allowed)


def _check_bad(crowd: CrowdConfig, kind: str, support: Support) -> None:
    several = isinstance(crowd.bad, tuple)
    for number, bad in enumerate(groups_of(crowd.bad)):
        where = f"crowd.bad.{number}" if several else "crowd.bad"
        if ":" in bad.behaviour:
            try:
                check_strategy("bad.behaviour", bad.behaviour)
            except ValueError as error:
                raise InputError(f"{where}.behaviour", bad.behaviour, str(error)) from None
        elif bad.behaviour not in support.bad:
            allowed = f"must be one of {', '.join(support.bad)} with task.kind={kind}, or package.module:Name"
            raise InputError(f"{where}.behaviour", bad.behaviour, allowed)
        if kind != "vector":
            _check_bad_texts(bad, where, kind)
        elif bad.strength is not None and bad.behaviour in BAD_BEHAVIOURS:
            most = BAD_BEHAVIOURS[bad.behaviour].most
            if bad.strength > most:
                allowed = f"must be at most {most:g}" if most else "must be left out"
                reason = f"with {where}.behaviour={bad.behaviour}" + ("" if most else ", which has no use of it")
                raise InputError(f"{where}.strength", bad.strength, f"{allowed} {reason}")
    groups = crowd.bad_groups
    if groups and bounds_of(groups, crowd.n_workers)[-1] == crowd.n_workers:
        for group in groups:
            if group.needs:
                allowed = f"must leave an honest worker of crowd.n_workers, {crowd.n_workers}: {group.behaviour} looks at those"
                raise InputError("crowd.bad.share", sum(group.share for group in groups), allowed)


def _check_bad_texts(bad: BadConfig, where: str, kind: str) -> None:
    for field in ("start", "stop", "period", "identities", "jitter", "fresh"):
        _check_default(bad, where, field, kind)
    if bad.strength is not None and bad.strength > 1:
        allowed = f"must be at most 1 with task.kind={kind}: the share of the examples that are spoiled"
        raise InputError(f"{where}.strength", bad.strength, allowed)


def _check_default(section: BaseModel, name: str, field: str, kind: str) -> None:
    value = getattr(section, field)
    if value != _default(type(section), field):
        shown = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
        raise InputError(f"{name}.{field}", shown, f"must be left out with task.kind={kind}, which has no use for it")


@cache
def _default(section: type[BaseModel], field: str) -> Any:
    return section.model_fields[field].get_default(call_default_factory=True)


def _check_parts(tournament: TournamentConfig, task: TaskConfig) -> None:
    if tournament.outer_momentum and tournament.search != "soup":
        allowed = "must be left out without tournament.search=soup"
        raise InputError("tournament.outer_momentum", tournament.outer_momentum, allowed)
    if tournament.search == "halving" and task.sft_epochs:
        allowed = "must be left out with tournament.search=halving, which stops in between"
        raise InputError("task.sft_epochs", task.sft_epochs, allowed)


def _check_search(crowd: CrowdConfig, tournament: TournamentConfig, kind: str, support: Support) -> None:
    if tournament.search not in support.searches:
        allowed = f"must be one of {', '.join(support.searches)} with task.kind={kind}"
        raise InputError("tournament.search", tournament.search, allowed)
    if tournament.search != "best" and tournament.exploit_every == 1:
        allowed = "must be best with tournament.exploit_every=1: every round has one candidate, of all workers"
        raise InputError("tournament.search", tournament.search, allowed)
    if tournament.search == "halving" and tournament.n_groups < 3:
        allowed = "must be at least 3 with tournament.search=halving"
        raise InputError("tournament.n_groups", tournament.n_groups, allowed)
    for field, name in (("reward", tournament.reward), *(("observe", name) for name in tournament.observe)):
        if tournament.drop_used and name != "rank":
            allowed = "must be rank, or tournament.drop_used false: other mechanisms compare workers over all rounds"
            raise InputError(f"tournament.{field}", name, allowed)
        if tournament.search in MERGING and name in ("calibrated", "exponentiated"):
            allowed = (
                f"must be rank or marginal with tournament.search={tournament.search}: a merged model is nobody's candidate, "
                f"and {name} learns from those"
            )
            raise InputError(f"tournament.{field}", name, allowed)
        if field == "observe" and name == tournament.reward:
            raise InputError("tournament.observe", name, "must not list the mechanism that pays, tournament.reward")
    if tournament.drop_used:
        _check_left(crowd.n_workers, tournament.n_groups, tournament.rounds, tournament.grouping)


def _check_calibrated(crowd: CrowdConfig, tournament: TournamentConfig) -> None:
    if tournament.audits > crowd.n_workers:
        raise InputError("tournament.audits", tournament.audits, f"must be at most crowd.n_workers, {crowd.n_workers}")
    if "calibrated" in (tournament.reward, *tournament.observe):
        return
    needed = "needs the mechanism calibrated as tournament.reward, or in tournament.observe: no other learns from it"
    if tournament.audits:
        raise InputError("tournament.audits", tournament.audits, needed)
    if tournament.calibration != CalibrationConfig():
        shown = tournament.calibration.model_dump(exclude_defaults=True)
        raise InputError("tournament.calibration", shown, needed)


def _check_exploiting(tournament: TournamentConfig, kind: str) -> None:
    if tournament.exploit_every is None:
        if kind != "vector" and tournament.weight_power != _default(TournamentConfig, "weight_power"):
            allowed = f"must be left out with task.kind={kind} and without tournament.exploit_every"
            raise InputError("tournament.weight_power", tournament.weight_power, allowed)
        return
    if tournament.drop_used:
        allowed = "must be left out with tournament.drop_used: all workers would leave at once"
        raise InputError("tournament.exploit_every", tournament.exploit_every, allowed)
    if tournament.measure_every is not None:
        allowed = "must be left out with tournament.exploit_every: the rounds between explore"
        raise InputError("tournament.measure_every", tournament.measure_every, allowed)


def _check_left(n_workers: int, n_groups: int, rounds: int, grouping: str) -> None:
    left = n_workers
    for number in range(1, rounds + 1):
        if left < n_groups:
            allowed = (
                f"must be lower: each round a group leaves (tournament.drop_used), and round {number} would have {left} "
                f"workers for {n_groups} groups"
            )
            raise InputError("tournament.rounds", rounds, allowed)
        # the largest group; interleaved deals each half of the workers by itself, where that leaves no group empty
        halves = (left // 2, left - left // 2)
        parts = halves if grouping == "interleaved" and halves[1] >= n_groups else (left,)
        left -= sum(ceil(part / n_groups) for part in parts)


def _check_valuation(
    crowd: CrowdConfig, tournament: TournamentConfig, valuation: ValuationConfig, kind: str, support: Support
) -> None:
    method, n_workers = valuation.method, crowd.n_workers
    if method not in support.methods:
        allowed = f"must be one of {', '.join(support.methods)} with task.kind={kind}"
        raise InputError("valuation.method", method, f"{allowed}, where every evaluation tunes a model")
    if method == "none":
        return
    if method == "exact" and support.most_exact is not None:
        if n_workers > support.most_exact:
            allowed = (
                f"must be at most {support.most_exact} with valuation.method=exact: it tunes a model for each of 2^n "
                "coalitions"
            )
            raise InputError("crowd.n_workers", n_workers, allowed)
        return
    _check_budget("budget", method, valuation.budget, n_workers, tournament.score if kind == "vector" else None)
    if kind == "vector" and valuation.kernel_shap_budget:
        _check_budget("kernel_shap_budget", "kernel_shap", valuation.kernel_shap_budget, n_workers, None)


def _check_budget(field: str, method: str, budget: int, n_workers: int, score: str | None) -> None:
    try:
        check_budget(method, budget, n_workers, score)
    except InputError as error:
        if field == "kernel_shap_budget":
            raise InputError(f"valuation.{field}", error.value, f"{error.allowed}; 0 leaves Kernel SHAP out") from None
        raise InputError(f"valuation.{error.field}", error.value, error.allowed) from None


def _check_payment(
    crowd: CrowdConfig,
    tournament: TournamentConfig,
    valuation: ValuationConfig,
    payment: PaymentConfig,
    kind: str,
    support: Support,
) -> None:
    rule, n_workers = payment.rule, crowd.n_workers
    if rule in LABEL_RULES:
        allowed = f"needs workers who label the same items, and those of task.kind={kind} do not"
        raise InputError("payment.rule", rule, allowed)
    mechanisms = ("points", tournament.reward, *tournament.observe)
    if rule not in ("equal", "shapley", *GAME_RULES, *mechanisms):
        allowed = f"must be tournament.reward, {tournament.reward}, or among tournament.observe, to be paid for"
        raise InputError("payment.rule", rule, allowed)
    if rule == "shapley" and valuation.method == "none":
        raise InputError("payment.rule", rule, "needs values: another valuation.method than none")
    if rule in GAME_RULES and support.retrains and valuation.method != "exact":
        allowed = "needs all coalitions, valuation.method=exact, where every evaluation tunes a model"
        raise InputError("payment.rule", rule, allowed)
    if rule in MOST_SAMPLED and n_workers > MOST_SAMPLED[rule]:
        raise InputError(
            "crowd.n_workers", n_workers, f"must be at most {MOST_SAMPLED[rule]:,} with payment.rule={rule}"
        )
    least = LEAST_BUDGET * n_workers
    if rule in MOST_SAMPLED and not support.retrains and valuation.budget < min(least, 2**n_workers):
        allowed = f"must be at least {least:,}, {LEAST_BUDGET} a worker, with payment.rule={rule}"
        raise InputError("valuation.budget", valuation.budget, allowed)
    if payment.identities == "merge":
        if kind != "vector":
            allowed = f"must be left out with task.kind={kind}: its contributions have no distances"
            raise InputError("payment.identities", "merge", allowed)
        if n_workers > MOST_MERGED:
            allowed = f"must be at most {MOST_MERGED:,} with payment.identities=merge, which compares all pairs"
            raise InputError("crowd.n_workers", n_workers, allowed)
