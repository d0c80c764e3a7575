"""Does the worker who contributes garbage come last? `python -m experiments.paper.bad_worker --out runs/bad`.

A seed deals short neighbours of one emotion to the workers of a configuration, draws one of them and replaces its comments by
word salad: as many words, drawn from all comments of the file. It is then one run: values by retraining over all coalitions,
and a tournament's points. Written into --out are bad_worker.csv (a row per seed and worker) and bad_worker.md. Given again, it
goes on where it was stopped, in the middle of a seed too. Exit status 1 if the bad worker is not last, in values and in points,
in four of five seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from crowd_sim.commands.progress import shown
from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.crowd.sources.goemotions import PROMPT, find_neighbourhoods
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.files import write_text
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.progress import Progress
from crowd_sim.random import Purpose, generator
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.store.run_log import RunLog
from crowd_sim.tasks.imitate.participants import load_texts
from crowd_sim.tasks.imitate.task import ImitateTask
from experiments.paper.bad_worker_table import MEASURES, by_seed, enough, markdown

CONFIGURATION = Path(str(files("crowd_sim") / "configs" / "llm_bad_worker.yaml"))

COMMENTS, WORDS = 3, 10
"""Comments of each worker; words of a comment at most: 64 models are tuned on them, one after another."""


@dataclass(frozen=True)
class Crowd:
    """The crowd of one seed.

    Attributes:
        contributions: of n workers, named w0, w1, …
        bad: the worker, by its place, whose comments are word salad.
    """

    contributions: TextCrowd
    bad: int


def deal(config: RunConfig) -> Crowd:
    """The crowd of a seed: comments and bad worker are drawn, so that seeds differ in both.

    Raises:
        InputError: another source than `goemotions`, no file, an unknown emotion, or too few short comments.
    """
    if config.runs > 1:
        raise InputError("runs", config.runs, "must be 1: a seed is a replicate")
    emotion, n_workers = str(config.crowd.target), config.crowd.n_workers
    if config.crowd.source != "goemotions":
        raise InputError("crowd.source", config.crowd.source, "must be goemotions: its comments are dealt")
    neighbourhoods = read_neighbourhoods(find_neighbourhoods(Path(config.crowd.path) if config.crowd.path else None))
    texts = {one.emotion: one.texts[1:] for one in neighbourhoods}
    if emotion not in texts:
        raise InputError("crowd.target", emotion, f"one of {', '.join(texts)}")
    short = [text for text in texts[emotion] if len(text.split()) <= WORDS]
    if len(short) < n_workers * COMMENTS:
        allowed = f"must be at most {len(short) // COMMENTS}: there are {len(short)} comments of at most {WORDS} words"
        raise InputError("crowd.n_workers", n_workers, allowed)
    dealt = generator(config.seed, 0, Purpose.PEOPLE).permutation(len(short))[: n_workers * COMMENTS]
    own = [[short[i] for i in dealt[w::n_workers]] for w in range(n_workers)]
    draws = generator(config.seed, 0, Purpose.BEHAVIOUR)
    bad = int(draws.integers(n_workers))
    words = np.array([word for one in neighbourhoods for text in one.texts for word in text.split()], dtype=object)
    own[bad] = [" ".join(draws.choice(words, len(text.split()))) for text in own[bad]]
    examples = tuple(tuple(Example(PROMPT, text) for text in texts) for texts in own)
    return Crowd(TextCrowd(tuple(f"w{w}" for w in range(n_workers)), examples, texts[emotion]), bad)


def run_seed(config: RunConfig, folder: Path, console: Console) -> pd.DataFrame:
    """One seed's rows of the table, see `rows`.

    Args:
        config: with the seed; of source `goemotions`.
        folder: the crowd goes there as a file of feedback and its target's texts, so that `crowd-sim run` can run it, too.
        console: where progress is shown.

    Raises:
        InputError: a crowd, a model or a folder that cannot be used.
    """
    crowd = deal(config)
    own, feedback, target = config.model_dump(mode="json"), folder / "feedback.jsonl", folder / "target.jsonl"
    paid = config.tournament.reward
    own["tournament"]["observe"] = [name for name in ("calibrated",) if name != paid]  # of the same rounds
    own["crowd"] |= {"source": "feedback", "path": str(feedback), "target": str(target)}
    examples = zip(crowd.contributions.ids, crowd.contributions.examples, strict=True)
    lines = [{"worker": worker, **asdict(example)} for worker, theirs in examples for example in theirs]
    _write_lines(feedback, lines)
    _write_lines(target, [{"text": text} for text in crowd.contributions.target_texts])
    with shown(console) as progress:
        outcome = _run(RunConfig.parse(own), folder / "run", progress)
    return rows(outcome, crowd.bad)


def _run(config: RunConfig, folder: Path, progress: Progress) -> Outcome:
    task = ImitateTask(load_texts(config), folder / "utilities")
    with open_run(folder, config, task) as opened, RunLog(folder, opened, config.crowd.n_workers) as record:
        saving = Checkpointer(record.checkpoints(), config.actors.checkpoints, record.save, record.event)
        (outcome,) = simulate([config], task, InProcess(), progress, saving)
        write_run(folder, outcome, opened)
    return outcome


def rows(outcome: Outcome, bad: int) -> pd.DataFrame:
    """A row per worker: `seed`, `worker`, whether it is the `bad` one, and the `MEASURES`."""
    if outcome.values is None:
        raise InputError("valuation.method", "none", "must value the workers")
    ids = outcome.ids
    measures = (
        outcome.values[0],
        outcome.history.points[0],
        outcome.history.observed.get("calibrated", outcome.history.points)[0],
        outcome.details.first_order[0],
    )
    columns = dict(zip(MEASURES, measures, strict=True))
    return pd.DataFrame({"seed": outcome.config.seed, "worker": ids, "bad": np.arange(len(ids)) == bad, **columns})


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the seeds; the tables are written after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="dotted overrides of experiments/configs/llm_bad_worker.yaml")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, … [default: 5]")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_intermixed_args(arguments)
    try:
        content = load_content(CONFIGURATION, given.overrides)
        made: list[pd.DataFrame] = []
        for seed in range(given.seeds):
            config = RunConfig.parse({**content, "seed": seed})
            made.append(run_seed(config, given.out / f"seed-{seed}", Console(stderr=True)))
            table = pd.concat(made)
            write_text(given.out / "bad_worker.csv", table.to_csv(index=False, float_format="%.6g"))
            write_text(given.out / "bad_worker.md", "\n".join(markdown(table)) + "\n")
    except InputError as error:
        print(f"bad_worker: {error}", file=sys.stderr)
        sys.exit(2)
    print((given.out / "bad_worker.md").read_text(encoding="utf-8"), end="")
    sys.exit(0 if enough(by_seed(table)) else 1)


if __name__ == "__main__":
    main()
