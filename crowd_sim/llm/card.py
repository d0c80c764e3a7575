"""The model card of an adapter: how it came about, so that nobody has to guess."""

from __future__ import annotations

from crowd_sim.learners.base import PACKAGED
from crowd_sim.llm.experiment import LlmOutcome

_IDS = {PACKAGED: "HuggingFaceTB/SmolLM2-135M-Instruct"}


def model_card(outcome: LlmOutcome, run: int, fingerprint: str) -> str:
    """Markdown with the front matter that the Hugging Face hub reads."""
    config, contributions = outcome.config, outcome.contributions
    llm, tournament = config.lora, config.tournament
    n_examples = sum(len(own) for own in contributions.examples)
    reports = [report for report in outcome.reports if report.run == run]
    lines = [
        "---",
        f"base_model: {_IDS.get(llm.model, llm.model)}",
        "library_name: peft",
        "tags: [lora, crowd-sim]",
        "---",
        "",
        "# A LoRA adapter tuned by a simulated crowd",
        "",
        f"Made by crowd-sim (the method of Crowd-SFT, arXiv 2506.04063): {contributions.n_workers} workers with {n_examples} "
        f"examples (`{config.crowd.source}`, target `{config.crowd.target}`) in {tournament.n_groups} groups, "
        f"{tournament.rounds} rounds, selection `{llm.selection}`. Seed {config.seed}, run {run}, configuration "
        f"`{fingerprint[:12]}`.",
        "",
        f"LoRA of rank {llm.rank}, alpha {llm.alpha:g}; {llm.epochs} epochs, {llm.batch_size} examples per step, AdamW at "
        f"{llm.learning_rate:g}; {outcome.facts.dtype} on {outcome.facts.device}. The prompt template it was tuned with: "
        f"`{llm.prompt_template or 'the chat template of the base model'}`.",
        "",
        f"Distance of {len(reports[0].texts)} fresh outputs to the target under Φ = {outcome.facts.phi}:",
        "",
        "| model | mean distance | trained tokens |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {r.name} | {sum(r.distances) / len(r.distances):.4f} | {r.tokens_trained:,} |" for r in reports]
    lines += ["", "| round | winner | score before | best score |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {r.round} | {_winner(r.winner, tournament.n_groups)} | {r.model_score:.4f} | {r.best_score:.4f} |"
        for r in outcome.rounds
        if r.run == run
    ]
    return "\n".join([*lines, ""])


def _winner(winner: int, n_groups: int) -> str:
    if winner < 0:
        return "none, the model stayed"
    return "the merged candidate" if winner == n_groups else f"candidate {winner}"
