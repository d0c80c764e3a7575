"""What a task supports.

`SUPPORT` is the one table: refusals are made from it, and the reference in the documents is, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from crowd_sim.config.task import EXAMPLES_OF, OF_CHOICES, TEXT_SOURCES, TaskConfig
from crowd_sim.config.tournament import DEFENCES, EXPLOITING, MERGING
from crowd_sim.crowd.behaviours.labels import LABEL_BEHAVIOURS
from crowd_sim.crowd.behaviours.texts import TEXT_BEHAVIOURS
from crowd_sim.registry import NAMES


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
ASKING = ("task.generation", "task.verifier")
OF_RECORDS = ("classify", "prefer", "verify")
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
        sources=("records", EXAMPLES_OF[kind]),
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
        "prefer": ("task.question", *ASKING),
        "verify": (*_OF_NOISE, "task.beta", "task.question", "task.expert_epochs"),
    }.items()
}
