"""The model card of an adapter: how it came about, so that nobody has to guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import yaml
from numpy.typing import NDArray

from crowd_sim.models.language_model import public_name
from crowd_sim.outcome import Outcome


def model_card(outcome: Outcome, run: int, fingerprint: str, figures: Sequence[str]) -> str:
    """Markdown with the front matter that the Hugging Face hub reads; `figures`: the lines of what the task measures."""
    config, details = outcome.config, outcome.details
    crowd = details.tuned_on
    task, tournament = config.task, config.tournament
    n_examples = sum(len(own) for own in crowd.examples)
    target = "" if config.crowd.target is None else f", target `{config.crowd.target}`"
    front = {"base_model": public_name(task.model), "library_name": "peft", "tags": ["lora", "crowd-sim"]}
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip("\n"),
        "---",
        "",
        "# A LoRA adapter tuned by a simulated crowd",
        "",
        f"Made by crowd-sim (the method of Crowd-SFT, arXiv 2506.04063): {crowd.n_workers} workers with {n_examples} "
        f"examples (`{config.crowd.source}`{target}) in {tournament.n_groups} groups, "
        f"{tournament.rounds} rounds, search `{tournament.search}`. Seed {config.seed}, run {run}, configuration "
        f"`{fingerprint[:12]}`.",
        "",
        f"LoRA of rank {task.rank}, alpha {task.alpha:g}; {task.epochs} epochs, {task.batch_size} examples per step, AdamW at "
        f"{task.learning_rate:g}; {details.info.dtype} on {details.info.device}.",
        "",
        *_template(task.prompt_template),
        "",
        *figures,
    ]
    return "\n".join([*lines, ""])


def figures_of_items(outcome: Outcome, run: int, metrics: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """A card's lines of a task of items: the metrics before and after, the floor, and who won each round."""
    task, items = outcome.config.task, outcome.details.crowd.report
    names = [name.removesuffix("_after") for name in metrics if name.endswith("_after")]
    lines = [
        f"Task `{task.kind}`, objective `{task.objective}`. On {len(items)} items that it was neither tuned on nor selected by "
        f"(floor {metrics['floor'][run]:.4f}):",
        "",
        "| metric | before | after |",
        "| --- | --- | --- |",
    ]
    for name in names:
        before = f"{metrics[f'{name}_before'][run]:.4f}" if f"{name}_before" in metrics else "–"
        lines.append(f"| {name.replace('_', ' ')} | {before} | {metrics[f'{name}_after'][run]:.4f} |")
    lines += ["", "| round | winner | best score |", "| --- | --- | --- |"]
    winners, best = outcome.history.winners[:, run].tolist(), outcome.history.best_scores[:, run].tolist()
    for number, (winner, score) in enumerate(zip(winners, best, strict=True), start=1):
        lines.append(f"| {number} | {winner_words(winner, outcome.config.tournament.n_groups)} | {score:.4f} |")
    return lines


def _template(template: str | None) -> list[str]:
    if template is None:
        return ["It was tuned with the chat template of the base model."]
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", template)), 0)
    ending = "; its last line ends in a line break" if template.endswith("\n") else ""
    return [
        f"The prompt template that it was tuned with{ending}:",
        "",
        f"{fence}text",
        template.removesuffix("\n"),
        fence,
    ]


def winner_words(winner: int, n_groups: int) -> str:
    """Who won a round."""
    if winner < 0:
        return "none, the model stayed"
    return "the merged candidate" if winner == n_groups else f"candidate {winner}"
