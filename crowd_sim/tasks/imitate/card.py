"""The model card of an adapter: how it came about, so that nobody has to guess."""

from __future__ import annotations

import re

import yaml

from crowd_sim.models.language_model import public_name
from crowd_sim.outcome import Outcome


def model_card(outcome: Outcome, run: int, fingerprint: str) -> str:
    """Markdown with the front matter that the Hugging Face hub reads."""
    config, details = outcome.config, outcome.details
    crowd = details.crowd
    task, tournament = config.task, config.tournament
    n_examples = sum(len(own) for own in crowd.examples)
    reports = [report for report in details.reports if report.run == run]
    front = {"base_model": public_name(task.model), "library_name": "peft", "tags": ["lora", "crowd-sim"]}
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip("\n"),
        "---",
        "",
        "# A LoRA adapter tuned by a simulated crowd",
        "",
        f"Made by crowd-sim (the method of Crowd-SFT, arXiv 2506.04063): {crowd.n_workers} workers with {n_examples} "
        f"examples (`{config.crowd.source}`, target `{config.crowd.target}`) in {tournament.n_groups} groups, "
        f"{tournament.rounds} rounds, search `{tournament.search}`. Seed {config.seed}, run {run}, configuration "
        f"`{fingerprint[:12]}`.",
        "",
        f"LoRA of rank {task.rank}, alpha {task.alpha:g}; {task.epochs} epochs, {task.batch_size} examples per step, AdamW at "
        f"{task.learning_rate:g}; {details.info.dtype} on {details.info.device}.",
        "",
        *_template(task.prompt_template),
        "",
        f"Distance of {len(reports[0].texts)} fresh outputs to the target under Φ = {details.info.phi}:",
        "",
        "| model | mean distance | trained tokens |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {r.name} | {sum(r.distances) / len(r.distances):.4f} | {r.tokens_trained:,} |" for r in reports]
    lines += ["", "| round | winner | score before | best score |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {r.round} | {_winner(r.winner, tournament.n_groups)} | {r.model_score:.4f} | {r.best_score:.4f} |"
        for r in details.rounds
        if r.run == run
    ]
    return "\n".join([*lines, ""])


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


def _winner(winner: int, n_groups: int) -> str:
    if winner < 0:
        return "none, the model stayed"
    return "the merged candidate" if winner == n_groups else f"candidate {winner}"
