"""Names and numbers as a reader meets them, the same in figures and tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crowd_sim.metrics import is_of_detection

FIELD_WORDS = {
    "crowd.n_workers": "Number of workers n",
    "tournament.n_groups": "Number of groups K",
    "tournament.rounds": "Number of rounds R",
    "tournament.step": "Step size δ",
    "tournament.mistake_probability": "Mistake probability",
    "tournament.grouping": "Grouping",
    "tournament.score": "Score",
    "tournament.reward": "Reward",
    "crowd.source": "Crowd",
    "crowd.selection": "Selection of workers",
    "valuation.method": "Shapley estimator",
    "valuation.budget": "Evaluations per game",
    "payment.rule": "Paid for",
    "payment.power": "Power of the scores",
    "payment.identities": "Identities",
    "crowd.bad.behaviour": "Behaviour of the bad",
    "crowd.bad.share": "Share of the bad",
    "crowd.bad.identities": "Accounts of a person",
    "crowd.bad.jitter": "Noise between accounts (s.d.)",
    "crowd.bad.fresh": "Noise drawn anew every round",
    "crowd.bad.strength": "Strength of the bad",
    "crowd.bad.start": "First round of the bad",
    "crowd.bad.stop": "Last round of the bad",
    "crowd.bad.period": "Rounds the bad act and rest",
    "crowd.examples_per_worker": "Examples of a worker",
    "crowd.max_words": "Words of an example at most",
    "tournament.weight_power": "Power of the weights",
    "tournament.measure_every": "Rounds from one that measures to the next",
    "tournament.exploit_every": "Rounds from one that exploits to the next",
    "tournament.audits": "Audits a round",
    "tournament.assumed_bad": "Assumed share of the bad",
    "tournament.clipping_radius": "Clipping radius τ",
    "screens.action": "Screens",
    "payment.budget": "Budget",
    "tournament.aggregation": "Aggregation",
    "tournament.search": "Search",
    "tournament.incumbent": "The old model competes",
    "tournament.drop_used": "Winners' workers leave",
    "task.kind": "Task",
    "task.objective": "Objective",
    "task.verifier.kind": "Verifier",
    "task.verifier.pattern": "Pattern",
    "crowd.held_out": "Share held out for selection and for the report",
    "task.rank": "LoRA rank",
    "task.alpha": "LoRA alpha",
    "task.epochs": "Epochs",
    "task.batch_size": "Examples per step",
    "task.learning_rate": "Learning rate",
    "task.generation.selection_outputs": "Outputs for selection",
    "task.generation.report_outputs": "Fresh outputs for the report",
    "task.generation.max_new_tokens": "Tokens per output at most",
    "task.generation.temperature": "Temperature",
    "runs": "Runs",
    "seed": "Seed",
}

METRIC_WORDS = {
    "initial_distance": "Distance to the target at the start",
    "final_distance": "Distance to the target after the last round",
    "accuracy_before": "Accuracy before the first round",
    "accuracy_after": "Accuracy after the last round",
    "reward_before": "Mean reward before the first round",
    "reward_after": "Mean reward after the last round",
    "floor": "Floor",
    "log_likelihood_before": "Log-likelihood of the right choice before the first round, nats",
    "log_likelihood_after": "Log-likelihood of the right choice after the last round, nats",
    "calibration_error_before": "Calibration error before the first round",
    "calibration_error_after": "Calibration error after the last round",
    "distinct_before": "Share of different outputs before the first round",
    "distinct_after": "Share of different outputs after the last round",
    "margin_after": "Log-odds of the preferred answer after the last round, nats",
    "tokens": "Tokens trained",
    "rounds_to_converge": "First round within the convergence distance",
    "pearson_accurate": "Points against accurate Shapley values (Pearson)",
    "spearman_accurate": "Points against accurate Shapley values (Spearman)",
    "pearson_kernel_shap": "Points against Kernel SHAP estimates (Pearson)",
    "spearman_kernel_shap": "Points against Kernel SHAP estimates (Spearman)",
    "pay_per_head": "Pay per head of the bad, over the others'",
    "pay_auc": "Chance that a bad worker is paid less than another (AUC)",
    "pay_sybil_gain": "Pay of a person with several accounts, over a person with one",
    "pay_spearman": "Pay against Shapley values (Spearman)",
    "pay_jain": "Evenness of pay (Jain's index)",
    "pay_gini": "Inequality of pay (Gini's coefficient)",
    "pay_effective_workers": "Effective number of workers who are paid",
    "pay_gaining": "Share of workers paid at least in proportion to their values",
    "pay_envy": "Share of pairs in which who is worth less is paid more",
    "pay_unpaid": "Of the budget unpaid",
    "screens_flagged": "Share of workers flagged by screens",
    "screens_found": "Share of the bad flagged by screens",
    "screens_false_alarms": "Share of the others flagged by screens",
}


def metric_words(name: str) -> str:
    """What a metric is called in a table; its name where there is nothing longer."""
    if name.startswith("auc_"):
        return (
            f"Screen {name.removeprefix('auc_').replace('_', ' ')}: chance that a bad worker is more suspicious (AUC)"
        )
    if is_of_detection(name):
        by = name.removeprefix("detection_").replace("_", " ")
        return f"Chance that a bad worker has less than another (AUC), by {by}"
    kind, _, mechanism = name.partition("_")
    if name not in METRIC_WORDS and kind in ("pearson", "spearman"):
        return f"Points of the mechanism {mechanism} against accurate Shapley values ({kind.capitalize()})"
    return METRIC_WORDS.get(name, name)


METRIC_HEADS = {
    "accuracy_after": "Accuracy",
    "reward_after": "Mean reward",
    "floor": "Floor",
    "final_distance": "Final distance",
    "rounds_to_converge": "Rounds to converge",
    "pearson_accurate": "Accurate values, Pearson",
    "spearman_accurate": "Accurate values, Spearman",
    "pearson_kernel_shap": "Kernel SHAP, Pearson",
    "spearman_kernel_shap": "Kernel SHAP, Spearman",
    "pay_per_head": "Pay per head of the bad",
    "pay_auc": "Bad paid less, AUC",
    "pay_sybil_gain": "Sybil gain",
    "pay_spearman": "Pay and values, Spearman",
    "detection_points": "Bad by points, AUC",
    "detection_values": "Bad by values, AUC",
    "screens_found": "Bad flagged",
    "screens_false_alarms": "Others flagged",
}
"""The metrics of a sweep's table, as the heads of narrow columns."""


def field_words(field: str) -> str:
    """What a configuration field is called on an axis; its dotted name where there is nothing shorter."""
    return FIELD_WORDS.get(field, field)


def value_words(value: Any) -> str:
    """A configuration value in a legend or a table: a strategy of the user's own goes by its last name."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return minus(f"{value:g}")
    if isinstance(value, int):
        return minus(str(value))
    text = str(value.item()) if hasattr(value, "item") else str(value)
    name = _USER_DEFINED.fullmatch(text)
    return (name[1] if name else text).replace("_", " ")


_USER_DEFINED = re.compile(r"[\w.]+:(\w+)")
"""`package.module:Name`, and no mapping or list."""


def with_note(label: str, averaged_over: Sequence[str]) -> str:
    """The label of an axis, and over which swept fields points are averaged."""
    if not averaged_over:
        return label
    names = ", ".join(field_words(field).lower() for field in averaged_over)
    return f"{label}\n(averaged over: {names})".lstrip()


def model_words(model: str) -> str:
    """A model of an LLM run by its name in the tables: `single_33` as "single, 33 examples"."""
    kind, _, rest = model.partition("_")
    if kind == "single":
        return f"single, {rest} examples" if rest.isdigit() else f"single, {rest.replace('_', ' ')}"
    return model.replace("_", " ")


def short_model_words(model: str) -> str:
    """The same where room is scarce: `single_33` as "single, 33"."""
    return model_words(model).replace(" examples", "").replace("single, equal", "equal")


def phi_words(phi: str) -> str:
    """The name of a Φ, without the place of its folder: where that was tells a reader nothing."""
    kind, _, place = phi.partition(":")
    return f"{kind}:{Path(place).name}" if Path(place).is_absolute() else phi


def plain(text: object, longest: int) -> str:
    """Foreign text on one line, of at most so many characters, and with nothing in it that is not seen."""
    words = " ".join(str(text).split())
    seen = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    return seen if len(seen) <= longest else seen[: longest - 1] + "…"


def three_digits(value: float | None) -> str:
    """A number with three significant digits, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) >= 999.5:
        return minus(f"{value:.0f}")
    return minus(f"{value:#.3g}".removesuffix("."))


def mean_and_error(mean: float | None, error: float | None) -> str:
    """``mean ± error``: the error with two significant digits, the mean as far as those reach.

    Without a usable error the mean alone, with three significant digits; without a mean a dash.
    """
    if mean is None or not math.isfinite(mean):
        return "–"
    if error is None or not math.isfinite(error) or error <= 0:
        return three_digits(mean)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    if decimals > 6:
        return f"{three_digits(mean)} ± {three_digits(error)}"
    return f"{minus(f'{mean:.{decimals}f}')} ± {error:.{decimals}f}"


def minus(text: str) -> str:
    """A real minus sign in place of a leading hyphen."""
    return "−" + text[1:] if text.startswith("-") else text
