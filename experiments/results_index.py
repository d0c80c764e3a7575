"""The page of results: every table of the documents with the command that prints it, the commit and the date.

`python -m experiments.results_index` prints it, `--write docs/results.md` writes it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PRINTED = re.compile(r"^\*Printed by\* `([^`]+)`\*, commit ([0-9a-f]{7,}), (\d{4}-\d\d-\d\d)\.\*$")
_HEAD = """# Results

Made by `python -m experiments.results_index --write docs/results.md` of what the pages say: every table, the command that
prints it, and the commit and date at which it was last measured.

| where | command | commit | date |
| --- | --- | --- | --- |
"""
_FILES = """
Kept as files, each with its commands, commits and dates: [attacks](../experiments/results/attacks.md),
[defences](../experiments/results/defences.md), [payment and effort](../experiments/results/payment.md),
[language models](../experiments/results/llm_table.md),
[the worker who contributes garbage](../experiments/results/bad_worker.md),
[workers who mislabel](../experiments/results/labelling.md), [by value](../experiments/results/label_values.md),
[imitation by the honest metric](../experiments/results/imitating.md),
[its development](../experiments/results/imitating_development.md),
[all at one rate](../experiments/results/imitating_one_rate.md),
[preferences after supervised tuning](../experiments/results/preferring.md),
[a reward model and what it is good for](../experiments/results/rewarding.md).
"""


@dataclass(frozen=True)
class Measured:
    """Where a table stands, and where it comes from."""

    page: str
    heading: str
    command: str
    commit: str
    date: str


def measured(root: Path = ROOT) -> Iterator[Measured]:
    """All tables of the pages, in their order."""
    for page in sorted((root / "docs").glob("*.md")):
        heading, code = "", False
        for line in page.read_text(encoding="utf-8").splitlines():
            code ^= line.startswith("```")
            if line.startswith("#") and not code:
                heading = line.lstrip("# ")
            if found := _PRINTED.match(line):
                yield Measured(page.name, heading, *found.groups())


def results_page(root: Path = ROOT) -> str:
    """The page, Markdown; a command that prints several tables of a part stands once."""
    rows = dict.fromkeys(measured(root))
    lines = [
        f"| [{row.heading}]({row.page}#{anchor(row.heading)}) | `{row.command}` | {row.commit} | {row.date} |"
        for row in rows
    ]
    return _HEAD + "\n".join(lines) + "\n" + _FILES


def anchor(heading: str) -> str:
    """What a link to a heading ends in."""
    return re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-")


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE")
    path = parser.parse_args().write
    if path is None:
        print(results_page(), end="")
    else:
        path.write_text(results_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
