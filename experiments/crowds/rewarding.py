"""What a reward model of a crowd's pairs is good for: `python -m experiments.crowds.rewarding --out runs/rewarding`.

Twelve workers prefer a short GoEmotions comment of one emotion to another, twenty pairs each. A Bradley-Terry reward on Φ
is fitted to them, with 0, 20 and 40 % of the pairs turned round, and held against 160 held-out pairs that are not. Then, with a
real model (SmolLM2-135M) and no noise, baselines of `prefer`: supervised tuning (`sft`), the best of four of its outputs by the
reward, and reinforcement of outputs by it in the second half of the tokens (`rloo`). What outputs are worth is the probability
that Φ gives the emotion.

Prints the shares of pairs and the probabilities, with 95 % intervals over the seeds. Every seed is a folder under --out: given
again, the command goes on where it was stopped. `--pairs-only` leaves the language model out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim import run
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.files import write_text
from crowd_sim.models.phi import Phi, load_phi
from crowd_sim.models.reward_model import fit_reward
from crowd_sim.random import Purpose, generator
from experiments.crowds.labelling import ALONE
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line

N_WORKERS, EACH = 12, 20
TRUSTED, REPORTED, AGAIN, DRAWN = 4, 40, 4, 40
"""Comments of the emotion in trusted pairs and in the report's, pairs of each, and those of the report that get outputs."""
MOST_WORDS = 10
"""Of a comment: a real model reads and trains half as much as of all."""
TOKENS = 4_500
"""Trained by an arm: of about two passes over the preferred comments."""
KL = 0.1
"""Chosen on seed 11, of 0.1, 0.3 and 1, and with it the learning rate of reinforcement."""
NOISES = (0.0, 0.2, 0.4)
WANTED = {0.0: 0.93, 0.2: 0.75, 0.4: 0.65}
MODELS = {"before": "base", "sft": "sft", "best_of_n": "best of 4", "rloo": "rloo"}

Pairs = list[dict[str, str]]


def deal(source: Path, emotion: str, seed: int, trusted: int = TRUSTED) -> dict[str, Pairs]:
    """A seed's pairs, the crowd's, trusted ones and the report's; no comment is in two of these, and no prompt comes twice.

    `trusted` comments are in the trusted pairs; the report has those that they leave it, the crowd the same whatever they are.
    """
    found = {
        own.emotion: tuple(text for text in own.texts if len(text.split()) <= MOST_WORDS)
        for own in read_neighbourhoods(source)
    }
    draws = generator(seed, 0, Purpose.PEOPLE)
    liked = draws.permutation(np.array(found[emotion], dtype=object)).tolist()
    others = {text for other, texts in found.items() if other != emotion for text in texts} - set(liked)
    rivals = iter(draws.permutation(np.array(sorted(others), dtype=object)).tolist())
    parts = {
        "expert": liked[:trusted],
        "report": liked[trusted : TRUSTED + REPORTED],
        "crowd": liked[TRUSTED + REPORTED :],
    }
    sizes = {"expert": max(trusted, TRUSTED * AGAIN), "report": REPORTED * AGAIN, "crowd": N_WORKERS * EACH}
    pairs: dict[str, Pairs] = {}
    for name, own in parts.items():
        pairs[name] = [
            {
                "worker": f"w{i % N_WORKERS}" if name == "crowd" else name,
                "prompt": f"write reddit comment {sum(map(len, pairs.values())) + i}.",
                "chosen": own[i % len(own)],
                "rejected": next(rivals),
            }
            for i in range(sizes[name])
        ]
    return pairs


def turned(pairs: Pairs, share: float, seed: int) -> Pairs:
    """Pairs of which a share is turned round."""
    wrong = set(generator(seed, 1, Purpose.PEOPLE).permutation(len(pairs))[: round(share * len(pairs))].tolist())
    return [
        pair | {"chosen": pair["rejected"], "rejected": pair["chosen"]} if i in wrong else pair
        for i, pair in enumerate(pairs)
    ]


def write_pairs(path: Path, pairs: Pairs) -> str:
    """Write a file of records; its path."""
    write_text(path, "".join(json.dumps(pair) + "\n" for pair in pairs))
    return str(path)


def preferences(seed: int, data: Path, model: str, **own: Any) -> dict[str, Any]:
    """A configuration of one round by everyone, on the files of a seed's pairs; `own`: what the section `task` has besides."""
    return {
        "seed": seed,
        "crowd": {
            "source": "records",
            "path": str(data / "crowd.jsonl"),
            "target": str(data / "report.jsonl"),
            "n_workers": N_WORKERS,
        },
        "tournament": {"mistake_probability": 0.0} | ALONE,
        "valuation": {"method": "none"},
        "task": {
            "kind": "prefer",
            "model": model,
            "prompt_template": "{prompt}\n",
            "expert": str(data / "expert.jsonl"),
            "batch_size": 8,
            "max_tokens": 128,
            "dtype": "auto",  # bfloat16 where that is fast: half the time
        }
        | own,
    }


def content(seed: int, data: Path, phi: Path | None, model: str = "smollm2-135m") -> dict[str, Any]:
    """The configuration of a seed's baselines; of the rounds there is one, of `sft`, which is the arm of that name, too."""
    return preferences(
        seed,
        data,
        model,
        learning_rate=1.0e-3,
        tokens_per_round=TOKENS,
        baselines=["best_of_n", "rloo"],
        kl=KL,
        phi={"kind": "classifier"} if phi is None else {"kind": "distilled", "model": str(phi)},
        generation={"max_new_tokens": 24, "temperature": 1.0},
    )


def ordered(vectors: dict[str, NDArray[np.float64]], pairs: dict[str, Pairs], seed: int) -> Iterator[dict[str, Any]]:
    """A row per noise: the share of the report's pairs that the reward orders rightly."""

    def of(own: Pairs, side: str) -> NDArray[np.float64]:
        return np.array([vectors[pair[side]] for pair in own])

    report = [of(pairs["report"], side) for side in ("chosen", "rejected")]
    for noise in NOISES:
        crowd = turned(pairs["crowd"], noise, seed)
        reward = fit_reward(*(of(crowd, side) for side in ("chosen", "rejected")))
        yield {"seed": seed, "noise": noise, "accuracy": reward.accuracy(*report)}


def drawn(
    seed: int, folder: Path, pairs: dict[str, Pairs], phi: Path | None, phi_of: Phi, emotion: str, model: str
) -> Iterator[dict[str, Any]]:
    """A row per model: the emotion's probability in its outputs, and what a run says of them; runs what is missing."""
    for name, own in pairs.items():
        write_pairs(folder / "data" / f"{name}.jsonl", own[:DRAWN] if name == "report" else own)
    run(content(seed, folder / "data", phi, model), folder / "run")
    items = pd.read_parquet(folder / "run" / "items.parquet")
    told = json.loads((folder / "run" / "summary.json").read_text())["choices"]
    label = (phi_of.labels or ()).index(emotion)
    for name in MODELS:
        probability = phi_of(items[f"output_{name}"].tolist())[:, label].mean()
        means = {what: told[f"{what}_{name}"]["mean"] for what in ("win_rate", "repetition", "distinct")}
        print(f"seed {seed}, {name}: {probability:.3f}", flush=True)
        yield {"seed": seed, "model": name, "probability": probability, **means}


def tables(noisy: pd.DataFrame, models: pd.DataFrame | None) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| pairs turned round | held-out pairs, % | by seed | wanted |"
    yield "| --: | --: | --- | --- |"
    for noise in NOISES:
        own = noisy[noisy["noise"] == noise]
        by_seed = ", ".join(f"{100 * value:.1f}" for value in own["accuracy"])
        yield f"| {100 * noise:.0f} % | {interval(100 * own['accuracy'])} | {by_seed} | ≥ {100 * WANTED[noise]:.0f} |"
    yield ""
    if models is None:
        return
    yield "| model | probability of the emotion, % | by seed | win rate, % | repeated 3-grams, % | distinct, % |"
    yield "| --- | --: | --- | --: | --: | --: |"
    wide = models.pivot_table(index="seed", columns="model", values="probability") * 100
    for name, shown in MODELS.items():
        own = models[models["model"] == name]
        by_seed = ", ".join(f"{value:.1f}" for value in wide[name])
        means = " | ".join(f"{100 * own[what].mean():.1f}" for what in ("win_rate", "repetition", "distinct"))
        yield f"| {shown} | {interval(wide[name])} | {by_seed} | {means} |"
    yield ""
    yield "| difference, points | mean | by seed | wanted |"
    yield "| --- | --: | --- | --- |"
    for name, wanted in (("best_of_n", 10), ("rloo", 8)):
        gaps = wide[name] - wide["sft"]
        by_seed = ", ".join(f"{gap:+.1f}" for gap in gaps)
        yield f"| {MODELS[name]} and sft | {interval(gaps)} | {by_seed} | ≥ {wanted} |"
    yield ""


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the tables."""
    parser = options(__doc__)
    parser.add_argument("--phi", type=Path, help="a folder of `crowd-sim data distill`; absent: the paper's classifier")
    parser.add_argument("--emotion", default="admiration")
    parser.add_argument("--pairs-only", action="store_true")
    given = parser.parse_args(arguments)
    phi = load_phi("classifier" if given.phi is None else "distilled", given.phi and str(given.phi))
    pairs = {seed: deal(find_neighbourhoods(given.data), given.emotion, seed) for seed in given.seeds}
    texts = list(
        dict.fromkeys(
            pair[side]
            for own in pairs.values()
            for part in own.values()
            for pair in part
            for side in ("chosen", "rejected")
        )
    )
    vectors = dict(zip(texts, phi(texts), strict=True))
    noisy = pd.DataFrame([row for seed, own in pairs.items() for row in ordered(vectors, own, seed)])
    models = None
    if not given.pairs_only:
        rows = [
            row
            for seed, own in pairs.items()
            for row in drawn(seed, given.out / f"seed-{seed}", own, given.phi, phi, given.emotion, given.model)
        ]
        models = pd.DataFrame(rows)
    kind = "classifier" if given.phi is None else "distilled"
    told = f"Seeds: {len(pairs)}; 95 % intervals by Student's t over them. Emotion: {given.emotion}; Φ: {kind}."
    lines = [*tables(noisy, models), told, "", provenance()]
    if not given.pairs_only:
        write_text(given.out / "rewarding.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
