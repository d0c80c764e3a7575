"""The paper's experiment on a language model, cell by cell: emotions × seeds × variants, each a run folder.

`python -m experiments.paper.llm_cells experiments/configs/llm_goemotions.yaml --seeds 3 --out runs/llm` goes on where it was
stopped, in the middle of a cell too; `python -m experiments.paper.llm_table runs/llm` makes the table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowd_sim.cli.llm_run import play
from crowd_sim.llm.people import learner_spec, load_contributions
from crowd_sim.llm.remembering import CachedLearners
from crowd_sim.llm.run_folder import llm_fingerprint

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.errors import InputError
from crowd_sim.files import open_folder
from crowd_sim.host import InProcess
from crowd_sim.models.lora import LearnerSpec, shared_learner

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "tournament": {},
    # what the variant above measures too is not measured twice
    "merging": {"llm": {"selection": "merge", "single_sizes": [], "equal_tokens": False}},
    # its candidates hold 25 examples at most: so much is a step of its single models, which have the same tokens in more steps
    "halving": {
        "tournament": {"n_groups": 4},
        "llm": {"selection": "halving", "single_sizes": [100], "equal_tokens": True, "batch_size": 25},
    },
}
"""Name of a variant's folders -> fields of each section that differ from the configuration's."""


@dataclass(frozen=True)
class Cell:
    """One emotion and seed: the configuration's content and where its variants' run folders go."""

    content: dict[str, Any]
    emotion: str
    seed: int
    root: Path

    def folder(self, variant: str) -> Path:
        """A variant's run folder."""
        return self.root / self.emotion / f"seed-{self.seed}" / variant

    def config(self, variant: str) -> RunConfig:
        """A variant's configuration.

        Raises:
            InputError: one that cannot be.
        """
        content = {**self.content, "seed": self.seed}
        content["crowd"] = {**content.get("crowd", {}), "target": self.emotion}
        for section, fields in VARIANTS[variant].items():
            content[section] = {**content.get(section, {}), **fields}
        return RunConfig.parse(content)


def run_cell(cell: Cell) -> str:
    """Run the variants of a cell that are not finished; its name."""
    done: dict[LearnerSpec, CachedLearners] = {}
    for variant in VARIANTS:
        if (cell.folder(variant) / "summary.json").exists():
            continue
        config = cell.config(variant)
        spec = learner_spec(config)
        learners = done.setdefault(spec, CachedLearners(shared_learner(spec)))
        play(config, load_contributions(config), cell.folder(variant), learners, InProcess())
    return f"{cell.emotion}, seed {cell.seed}"


def cells_of(content: dict[str, Any], emotions: Sequence[str] | None, seeds: int, root: Path) -> list[Cell]:
    """All cells of a configuration, every emotion of a seed before the next seed: a part of the table is a table.

    Raises:
        InputError: an emotion that is not in the file, a configuration that cannot be, or a cell of another one in the folder.
    """
    path = content.get("crowd", {}).get("path")
    there = [n.emotion for n in read_neighbourhoods(find_neighbourhoods(Path(path) if path else None))]
    for emotion in emotions or ():
        if emotion not in there:
            raise InputError("--emotions", emotion, f"must be among {', '.join(there)}")
    cells = [Cell(content, emotion, seed, root) for seed in range(seeds) for emotion in emotions or there]
    for cell in cells:
        for variant in VARIANTS:
            folder = cell.folder(variant)
            if cell is cells[0] or (folder / "config.yaml").exists():
                config = cell.config(variant)
                print_of = llm_fingerprint(config, load_contributions(config))
                if folder.exists():
                    open_folder(folder, print_of)
    return cells


def run_cells(cells: Sequence[Cell], workers: int) -> None:
    """Run cells, so many at a time, and say which are done."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, future in enumerate(as_completed([pool.submit(run_cell, cell) for cell in cells]), 1):
            print(f"{done} of {len(cells)}: {future.result()}", flush=True)


def main() -> None:
    """Run the cells of a configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configuration", type=Path)
    parser.add_argument("overrides", nargs="*", help="dotted overrides, for example llm.epochs=2")
    parser.add_argument("--emotions", nargs="+", help="[default: all of the file]")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, … of each emotion [default: 3]")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1, help="cells at a time, each in a process [default: 1]")
    arguments = parser.parse_intermixed_args()
    try:
        cells = cells_of(
            load_content(arguments.configuration, arguments.overrides),
            arguments.emotions,
            arguments.seeds,
            arguments.out,
        )
        run_cells(cells, arguments.workers)
    except InputError as error:
        print(f"llm_cells: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
