"""Which tournament imitates a crowd best, honestly: `python -m experiments.crowds.imitating --out runs/imitating`.

Twelve workers own three short GoEmotions comments of one emotion each; a quarter of these is held out, and nobody trains on it.
A real model (SmolLM2-135M) trains as many tokens in every arm, six passes over the crowd's texts:

- equal tokens: a single model of everyone's texts, in steps as small as a candidate's, so that it takes three times as many;
- equal steps: a single model in as many steps, one after another, as the tournament, each of everyone's texts;
- tournament: the paper's, four groups at random, three rounds, the candidate whose outputs come nearest is the next model;
- soup: the next model is the mean of all four candidates' adapters;
- soup in small steps: the same with three texts a step, so that as many steps follow one another as in equal tokens;
- soup in six rounds: in such steps, one pass a round, so that candidates are averaged twice as often;
- halving: half of the candidates leave each round after half of its training.

Two arms train three times as many, 18 passes: a single model, and soup in nine rounds of such small steps. More passes are of
use to a model that does not learn its examples by heart, so that this asks which of the two can make something of them.

The old model is no candidate: a dozen outputs tell it from a better one too seldom.

Models are ranked by the energy distance of fresh outputs and the held-out texts under Φ, which is 0 for equal distributions
alone. A model that recites the texts it was tuned on comes near to that, so an arm of whose outputs more than a tenth are, or
begin, an example is marked †, and the held-out loss stands beside it, nats per token. So does the paper's distance, which one
sentence said over and over can win. Cells in which an arm is nearer than equal tokens, but worse in energy, diversity or
copying, are counted (`crowd_sim.tasks.imitate.honesty.concentrated`); an arm with half of them is labelled so, and cannot be
the best.

What an energy distance is worth: that of the texts that everyone trains on and the held-out ones, of the same source, stands
below the table, with the jackknife's error of one cell. Most of it is that of nine held-out comments, so every model is also
held against all comments of its emotion that nobody trains on, by more outputs (`experiments.crowds.unseen`).

Arms have learning rates of their own, found by one rule on emotions and a seed that are not measured (`--develop`): of the
rates at which at most a tenth of the outputs are copies, the one of the lowest mean energy distance.

Prints means over emotions, each the mean of its seeds, with 95 % intervals, and differences emotion by emotion; and the best of
the crowd's arms by energy at equal tokens, and at equal steps one after another. Every arm of an
emotion and a seed is a folder under --out: given again, the command goes on where it was stopped, and reads what is finished.
Several processes may make different emotions at once.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim import run
from crowd_sim.config import RunConfig
from crowd_sim.files import write_text
from crowd_sim.models.phi import Phi, load_phi
from crowd_sim.tasks.imitate.honesty import concentrated, energy_distance
from crowd_sim.tasks.imitate.participants import load_texts
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line
from experiments.crowds.unseen import unseen_energy, unseen_texts

EMOTIONS = (
    "admiration",
    "amusement",
    "annoyance",
    "approval",
    "curiosity",
    "disappointment",
    "disapproval",
    "love",
    "neutral",
    "sadness",
)
"""The most frequent of GoEmotions among those that the paper publishes figures of."""
ROUNDS, PASSES, GROUPS, STEP, MORE = 3, 2, 4, 9, 3
"""Of a tournament; passes are a round's, STEP is the texts of a step, at least those of a candidate, MORE a larger budget."""

ALONE: dict[str, Any] = {"tournament": {"rounds": 1, "n_groups": 1, "incumbent": False}}
TOGETHER: dict[str, Any] = {"rounds": ROUNDS, "n_groups": GROUPS, "incumbent": False}
ROUND: dict[str, Any] = {"epochs": PASSES, "batch_size": STEP}
ARMS: dict[str, dict[str, Any]] = {
    "equal tokens": ALONE | {"task": {"epochs": ROUNDS * PASSES, "batch_size": STEP}},
    "equal steps": ALONE | {"task": {"epochs": ROUNDS * PASSES, "batch_size": GROUPS * STEP}},
    "tournament": {"tournament": TOGETHER, "task": ROUND},
    "soup": {"tournament": TOGETHER | {"search": "soup"}, "task": ROUND},
    "soup in small steps": {"tournament": TOGETHER | {"search": "soup"}, "task": ROUND | {"batch_size": STEP // 3}},
    "halving": {"tournament": TOGETHER | {"search": "halving"}, "task": ROUND},
    "soup in six rounds": {
        "tournament": TOGETHER | {"search": "soup", "rounds": 2 * ROUNDS},
        "task": ROUND | {"epochs": PASSES // 2, "batch_size": STEP // 3},
    },
    "single of 18 passes": ALONE | {"task": {"epochs": MORE * ROUNDS * PASSES, "batch_size": STEP}},
    "soup of 18 passes": {
        "tournament": TOGETHER | {"search": "soup", "rounds": MORE * ROUNDS},
        "task": ROUND | {"batch_size": STEP // 3},
    },
}
"""Configurations by name, besides what all have and what is chosen in development."""
SINGLES, SOUPS = ("equal tokens", "equal steps"), ("soup", "soup in small steps", "soup in six rounds")
CROWD_ARMS = ("tournament", *SOUPS, "halving")
LONG_SINGLE, LONG_SOUP = "single of 18 passes", "soup of 18 passes"
COMPARED = ((SINGLES, CROWD_ARMS), ((LONG_SINGLE, SINGLES[0]), (LONG_SOUP,)))
"""Single models, and what is held against them; the first of them is of equal tokens."""
STEPS = (
    dict.fromkeys(ARMS, 6)
    | dict.fromkeys(("equal tokens", *SOUPS[1:]), 18)
    | dict.fromkeys((LONG_SINGLE, LONG_SOUP), 54)
)
"""One after another: of 27 texts, and of the seven or so of a candidate; of small ones at most."""
NAMED = "soup in small steps"
"""Which of the soups is held to what is wanted: named by development, before any was measured."""
OWN_TEXTS = "crowd's texts"
"""The name of rows of what everyone trains on, held against what is held out."""

RATES = (0.002, 0.004, 0.008)
TRIED: dict[str, tuple[float, ...]] = dict.fromkeys(ARMS, RATES) | {
    "equal tokens": (0.0005, 0.001, 0.002),
    "equal steps": (0.001, 0.002, 0.004),
    "tournament": (0.001, 0.002, 0.004, 0.008),
    "soup in small steps": (0.001, 0.002, 0.004),
    "halving": (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008),
    "soup in six rounds": (0.0005, 0.001, 0.002),
    LONG_SINGLE: (0.000125, 0.00018, 0.00025, 0.0005),
    LONG_SOUP: (0.00025, 0.0005, 0.001),
}
"""Learning rates in development, by arm."""
CHOSEN = {
    "equal tokens": 0.001,
    "equal steps": 0.002,
    "tournament": 0.004,
    "soup": 0.004,
    "soup in small steps": 0.002,
    "halving": 0.0005,
    "soup in six rounds": 0.001,
    LONG_SINGLE: 0.00018,
    LONG_SOUP: 0.0005,
}
"""What was found (experiments/results/imitating_development.csv)."""
MEASURED_SEEDS, DEVELOPMENT_SEEDS = (1, 2, 3), (11,)
DEVELOPMENT_EMOTIONS = ("excitement", "disgust")

COLUMNS = {
    "energy": "energy distance",
    "unseen": "to all unseen",
    "held_out_loss": "held-out loss",
    "distance": "distance",
    "distinct": "distinct, %",
    "copied": "copied, %",
    "copied_5grams": "5-grams copied, %",
    "repetition": "repetition, %",
}
"""Of models.parquet and `unseen_energy`, and what they are called here."""
SHOWN = 4
"""So many of them with intervals, the others in per cent."""
NEARNESS = ("energy", "unseen")
RECITES = 0.1
"""Copied outputs beyond which an energy distance is, in part, that of the examples."""
CONCENTRATED = 0.5
"""Of an arm's cells, so many make it concentrated; as `crowd_sim.tasks.imitate.honesty.ranked`."""
MOST_OF_SINGLE, LOWER_IN = 1.1, 0.8
"""What is wanted of soup: energy over that of the single model of equal tokens; emotions with a lower held-out loss."""


def content(
    arm: str,
    rate: float,
    emotion: str,
    seed: int,
    phi: Path | None,
    data: Path | None = None,
    model: str = "smollm2-135m",
) -> dict[str, Any]:
    """An arm's configuration."""
    own = ARMS[arm]
    soup = own["tournament"].get("search") == "soup"
    return {
        "seed": seed,
        "crowd": {
            "source": "goemotions",
            "path": data and str(data),
            "target": emotion,
            "n_workers": 12,
            "examples_per_worker": 3,
            "max_words": 15,
            "held_out": 0.25,
        },
        "tournament": {"mistake_probability": 0.0, "grouping": "random"} | own["tournament"],
        "valuation": {"method": "none"},
        "task": {
            "kind": "imitate",
            "model": model,
            "prompt_template": "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
            "learning_rate": rate,
            "dtype": "auto",  # bfloat16 where that is fast: half the time
            "phi": {"kind": "classifier"} if phi is None else {"kind": "distilled", "model": str(phi)},
            # a soup has nothing to select
            "generation": {"selection_outputs": 2 if soup else 12, "report_outputs": 40, "max_new_tokens": 24},
        }
        | own["task"],
    }


def rows_of(
    arms: Sequence[tuple[str, float]],
    emotion: str,
    seed: int,
    out: Path,
    phi: Path | None,
    data: Path | None,
    model: str,
) -> Iterator[dict[str, Any]]:
    """A row per arm and learning rate, and one of the model before; runs what is missing."""
    for arm, rate in arms:
        folder = out / f"{emotion}-{seed}" / f"{arm.replace(' ', '-')}-{rate:g}"
        made_by = content(arm, rate, emotion, seed, phi, data, model)
        run(made_by, folder)
        wide = unseen_energy(folder, made_by)
        models = pd.read_parquet(folder / "models.parquet").set_index("model")
        last = f"round_{made_by['tournament']['rounds']}"
        made = [(last, arm, rate)]
        for name, shown, at in [("base", "base", 0.0), *made] if (arm, rate) == arms[0] else made:
            told: dict[Any, Any] = models.loc[name].to_dict()
            told |= wide if shown == arm else dict.fromkeys(wide, nan)
            print(
                f"{emotion}, seed {seed}, {shown}, rate {at:g}: energy {told['energy']:.3f}, {told['unseen']:.3f}, "
                f"loss {told['held_out_loss']:.3f}, copied {told['copied']:.0%}",
                flush=True,
            )
            figures = {column: float(told[column]) for column in (*COLUMNS, "energy_se", "unseen_se")}
            cost = {
                name: float(told[f"tokens_{of}"]) for name, of in (("tokens", "trained"), ("generated", "generated"))
            }
            yield {"emotion": emotion, "seed": seed, "arm": shown, "rate": at, **cost, **figures}


def own_texts(emotion: str, seed: int, configuration: dict[str, Any], phi: Phi) -> dict[str, Any]:
    """A row of the energy distance of the texts that everyone trains on to the held-out ones, and to all unseen ones."""
    crowd = load_texts(RunConfig.parse(configuration))
    trained = phi([example.response for example in crowd.in_turn()])
    unseen = phi(unseen_texts(crowd, configuration["crowd"]["max_words"]))
    held = unseen[: len(crowd.held_out)]
    (energy, energy_se), (wide, wide_se) = energy_distance(trained, held), energy_distance(trained, unseen)
    told = {"energy": energy, "energy_se": energy_se, "unseen": wide, "unseen_se": wide_se}
    return {"emotion": emotion, "seed": seed, "arm": OWN_TEXTS} | told


def labelled(found: pd.DataFrame) -> pd.DataFrame:
    """With the column ``concentrated``: every cell held against the single model of equal tokens, where there is one."""
    cells = found.to_dict("records")
    by_name = {(cell["emotion"], cell["seed"], cell["arm"]): cell for cell in cells}
    labels = []
    for cell in cells:
        single = LONG_SINGLE if cell["arm"] in (LONG_SINGLE, LONG_SOUP) else SINGLES[0]
        against = by_name.get((cell["emotion"], cell["seed"], single))
        labels.append(against is not None and cell["arm"] != OWN_TEXTS and concentrated(cell, against))
    return found.assign(concentrated=labels)


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown; of a table that is `labelled`."""
    means = found.groupby(["emotion", "arm"])[[*COLUMNS, "tokens", "generated"]].mean()
    arms = [arm for arm in ("base", *ARMS) if arm in found["arm"].unique()]
    by_arm = found.groupby("arm")
    rates, shares = by_arm["rate"].first(), by_arm["concentrated"].mean()
    heads = ("steps", *COLUMNS.values(), "concentrated, %", "trained tokens", "generated")
    yield f"| arm | learning rate | {' | '.join(heads)} |"
    yield "| --- |" + " --: |" * (len(heads) + 1)
    for arm in arms:
        own = means.xs(arm, level="arm")
        percents = [f"{100 * own[column].mean():.0f}" for column in list(COLUMNS)[SHOWN:]]
        means_of = (own[column] for column in list(COLUMNS)[:SHOWN])
        cells = [*("" if values.isna().any() else interval(values, 3) for values in means_of), *percents]
        recites = " †" * bool(own["copied"].mean() > RECITES) + " (concentrated)" * bool(shares[arm] >= CONCENTRATED)
        cost = (f"{own[name].mean():,.0f}" for name in ("tokens", "generated"))
        cells = [str(STEPS.get(arm, 0)), *cells, f"{100 * shares[arm]:.0f}", *cost]
        yield f"| {arm}{recites} | {rates[arm]:g} | {' | '.join(cells)} |"
    yield ""
    yield f"†: more than {RECITES:.0%} of the outputs are, or begin, one of the examples that the model was tuned on."
    yield "Generated: tokens of the outputs that selection reads; soups, which have nothing to select, draw two a candidate."
    yield "Concentrated: nearer than equal tokens, with worse energy, diversity or copying; a share of the cells."
    if OWN_TEXTS in by_arm.groups:
        floor, errors = means.xs(OWN_TEXTS, level="arm"), found.loc[found["arm"].isin(ARMS)]
        for column, which in zip(NEARNESS, ("the held-out ones", "all unseen ones"), strict=True):
            spread, error = by_arm[column].std()[OWN_TEXTS], errors[f"{column}_se"].mean()
            yield f"Texts that are trained on have an energy distance of {interval(floor[column], 3)} to {which};"
            yield f"{spread:.3f} is its standard deviation over cells, {error:.3f} an arm's error in one cell."
    for column in NEARNESS:
        yield from differences(means, [arm for arm in arms if shares[arm] >= CONCENTRATED], column)


def differences(means: pd.DataFrame, left_out: Sequence[str], column: str = "energy") -> Iterator[str]:
    """Lines of what the crowd's arms gain on the single models, emotion by emotion; some cannot be the best."""
    near, loss = (
        means.reset_index().pivot_table(index="emotion", columns="arm", values=values)
        for values in (column, "held_out_loss")
    )
    what = {"energy": "energy distance", "unseen": "energy distance to all unseen"}[column]
    for all_singles, all_arms in COMPARED:
        arms, singles = ([arm for arm in named if arm in near] for named in (all_arms, all_singles))
        if not arms or not singles:
            continue
        yield ""
        yield f"| {what} less that of … | {' | '.join(singles)} |"
        yield "| --- |" + " --: |" * len(singles)
        for arm in near[arms].mean().index:
            yield f"| {arm} | {' | '.join(interval(near[arm] - near[single], 3) for single in singles)} |"
        yield ""
        if all_singles == SINGLES:
            yield from _best(near, [arm for arm in arms if arm not in left_out], singles)
        for soup in arms:
            if "soup" in soup and all_singles[0] in singles:
                yield from _held_to(near, loss, soup, all_singles[0])


def _best(near: pd.DataFrame, arms: Sequence[str], singles: Sequence[str]) -> Iterator[str]:
    """Lines of the named soup and of the nearest arm, against each of the single models of six passes."""
    for single, told in zip(SINGLES, ("equal tokens", "equal tokens and at most as many steps"), strict=True):
        fit = [arm for arm in arms if STEPS[arm] <= STEPS[single]]
        if single == SINGLES[0] and single in singles and NAMED in fit:
            yield f"The soup named before it was measured: {NAMED}, less {single}"
            yield f"{interval(near[NAMED] - near[single], 3)}."
        if single in singles and fit:
            best = str(near[fit].mean().idxmin())
            yield f"Best crowd arm by it of {told}, named after all were seen: {best}, less {single}"
            yield f"{interval(near[best] - near[single], 3)}."


def _held_to(near: pd.DataFrame, loss: pd.DataFrame, soup: str, single: str) -> Iterator[str]:
    """Lines of what is wanted of a soup, and what it does."""
    ratio, lower = float(near[soup].mean() / near[single].mean()), int((loss[soup] < loss[single]).sum())
    yield f"Its mean of {soup} over that of {single}: {ratio:.2f}, wanted at most {MOST_OF_SINGLE};"
    yield f"the held-out loss is lower in {lower} of {len(loss)} emotions, wanted at least {LOWER_IN:.0%}."


def development(found: pd.DataFrame) -> pd.DataFrame:
    """A row per arm and rate: means of all cells, how many, and whether the rule chooses it.

    The rule: the lowest energy distance among those of whose outputs at most a tenth are copies.
    """
    tuned = found[found["arm"] != "base"].groupby(["arm", "rate"], sort=False)
    means = tuned[list(COLUMNS)].mean().assign(cells=tuned.size()).reset_index()
    allowed = means[means["copied"] <= RECITES]
    return means.assign(chosen=means.index.isin(allowed.groupby("arm")["energy"].idxmin()))


def development_table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| arm | learning rate | cells | energy distance | to all unseen | held-out loss | copied, % | distinct, % |"
    yield "| --- | --- |" + " --: |" * 6
    for row in development(found).to_dict("records"):
        told = [row["cells"], *(f"{row[column]:.3f}" for column in ("energy", "unseen", "held_out_loss"))]
        shares = [f"{100 * row[column]:.0f}" for column in ("copied", "distinct")]
        cells = [row["arm"], f"{row['rate']:g}", *told, *shares]
        yield "| " + " | ".join(f"**{cell}**" if row["chosen"] else str(cell) for cell in cells) + " |"
    yield ""
    yield "Bold: chosen of an arm's rates, the lowest energy distance to what was held out among those of whose outputs"
    yield f"at most {RECITES:.0%} are copies."


def floors(
    arm: tuple[str, float], emotions: Sequence[str], seeds: Sequence[int], given: Namespace
) -> Iterator[dict[str, Any]]:
    """Rows of `own_texts`; everyone's texts are the same in all arms."""
    phi: Phi | None = None
    for seed in seeds:
        for emotion in emotions:
            made = content(*arm, emotion, seed, given.phi, given.data, given.model)
            named = RunConfig.parse(made).task.phi
            phi = phi or load_phi(named.kind, named.model)
            yield own_texts(emotion, seed, made, phi)


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table."""
    parser = options(__doc__)
    parser.add_argument("--phi", type=Path, help="a folder of `crowd-sim data distill`; absent: the paper's classifier")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--emotions", nargs="+", metavar="EMOTION", help="absent: ten, or two of development")
    parser.add_argument("--develop", action="store_true", help="try learning rates, on emotions and seeds of their own")
    parser.set_defaults(seeds=None)
    given = parser.parse_args(arguments)
    emotions = given.emotions or (DEVELOPMENT_EMOTIONS if given.develop else EMOTIONS)
    seeds = given.seeds or (DEVELOPMENT_SEEDS if given.develop else MEASURED_SEEDS)
    arms = [(arm, rate) for arm in given.arms for rate in (TRIED[arm] if given.develop else (CHOSEN[arm],))]
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for emotion in emotions:
            rows += rows_of(arms, emotion, seed, given.out, given.phi, given.data, given.model)
    if not given.develop:
        rows += floors(arms[0], emotions, seeds, given)
    found = labelled(pd.DataFrame(rows))
    told = f"Seeds: {len(seeds)}; emotions: {len(emotions)}; 95 % intervals by Student's t over emotions."
    shown = development_table(found) if given.develop else (*table(found), told)
    lines = [*shown, "", provenance()]
    name = "imitating_development" if given.develop else "imitating"
    write_text(given.out / f"{name}.csv", found.to_csv(index=False, float_format="%.6g"))
    write_text(given.out / f"{name}.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
