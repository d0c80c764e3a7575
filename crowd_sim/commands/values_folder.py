"""The folder of `crowd-sim value`: what is in it, of which question, and what is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim.commands.question import Asked, Question
from crowd_sim.commands.unfinished import remove
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import read_facts, read_table, write_sealed, write_table
from crowd_sim.integrity import FILES, DamagedError, check_file, digests_of
from crowd_sim.paths import exists, is_folder
from crowd_sim.store.run_log import UNFINISHED
from crowd_sim.valuation import ShapleyResult

_TABLE, _FACTS, _FIGURE = "values.parquet", "values.json", "values.png"
_WORDS = {"asked_method": "method"}
_RELATIVE = re.compile(r"TargetError\(relative=([^,]+), absolute=0\.0\)")
"""A rule as a table says it, that the option ``--target-error`` stands for."""


def kept(folder: Path, asked: Asked) -> ShapleyResult | None:
    """The values that the folder holds of what is asked, players in the question's order; None where it holds none.

    Raises:
        InputError: it holds values of other workers, another target or another score, values that were asked for otherwise or
            do not say how, or something else; or it is no folder.
        DamagedError: what is there is not what was written.
    """
    path = folder / _TABLE
    if not exists(path):
        if exists(folder) and not is_folder(folder):
            raise InputError("--out", str(folder), "must be a folder, or not there")
        if is_folder(folder) and not is_folder(folder / UNFINISHED) and any(folder.iterdir()):
            raise InputError(
                "--out", str(folder), "must be a new folder, an empty one, or one of values: it holds files"
            )
        return None
    facts = read_facts(path)  # of the table itself: another may have been put in its place
    if facts is None:
        raise InputError("--out", str(folder), f"must be another folder: it is not known what its {_TABLE} is of")
    question = asked.question
    if facts.get("digest") != question.digest:
        shown = f"score {facts.get('score')}, target {facts.get('target')}, {facts.get('workers')} workers"
        raise InputError("--out", str(folder), f"must be another folder: it holds the values of another game ({shown})")
    _check_asked(folder, facts, asked)
    check_file(folder, _TABLE)
    table = read_table(path)
    if table is None:
        raise DamagedError(path)
    return _result(table, facts, question)


def check_open(folder: Path, asked: Asked) -> None:
    """Refuse to evaluate anew what another process has written since the folder was looked at.

    Raises:
        InputError: the values are there, or those of something else.
    """
    if kept(folder, asked) is not None:
        allowed = "has these values by now, from another process: given again, the same command reads them"
        raise InputError("--out", str(folder), allowed)


def complete(folder: Path, asked: Asked, result: ShapleyResult) -> None:
    """Write what a process that ended while it wrote the values, or someone since, has left out beside them.

    Raises:
        InputError: the folder holds other values.
        StorageError: it cannot be written.
    """
    if not all(exists(folder / name) for name in (_FACTS, _FIGURE)):
        write(folder, asked, result)


def _check_asked(folder: Path, facts: dict[str, Any], asked: Asked) -> None:
    if "asked_method" not in facts:
        allowed = (
            "must be another folder: it holds values of an earlier version, which do not say how they were asked for"
        )
        raise InputError("--out", str(folder), allowed)
    said = []
    for name, wanted in asked.facts.items():
        found = facts.get(name)
        if name == "code":
            if wanted is None or found != wanted:  # of code without a source nobody knows that it is the same
                said.append("the score's code")
        elif found != wanted and name == "stop":
            said.append(_other_rule(found, wanted))
        elif found != wanted:
            said.append(f"{_WORDS.get(name, name)} {_shown(found)}, not {_shown(wanted)}")
    if not said:
        return
    allowed = f"must be another folder: it holds values that were asked for otherwise ({'; '.join(said)})"
    raise InputError("--out", str(folder), allowed)


def _other_rule(found: str | None, wanted: str | None) -> str:
    """That two rules differ: as target errors, where they are no others."""
    errors = [None if rule is None else _RELATIVE.fullmatch(rule) for rule in (found, wanted)]
    if any(error is None and rule is not None for error, rule in zip(errors, (found, wanted), strict=True)):
        return f"stop {_shown(found)}, not {_shown(wanted)}"
    said, asked = ("none" if error is None else error[1] for error in errors)
    return f"target error {said}, not {asked}"


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)


def _result(table: pd.DataFrame, facts: dict[str, Any], question: Question) -> ShapleyResult:
    rows = table.set_index("worker").loc[list(question.ids)]
    return ShapleyResult(
        values=np.array(rows["value"], dtype=np.float64),
        stderr=np.array(rows["stderr"], dtype=np.float64),
        n_evaluations=int(facts["evaluations"]),
        method=str(facts["method"]),
        converged=facts["converged"],
    )


def table_of(question: Question, result: ShapleyResult) -> pd.DataFrame:
    """A row per worker, best first: `worker`, `value`, standard error and interval."""
    table = result.to_frame().drop(columns="player").assign(worker=question.ids)
    table = table[["worker", *(name for name in table.columns if name != "worker")]]
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def write(folder: Path, asked: Asked, result: ShapleyResult) -> pd.DataFrame:
    """Write values.parquet and values.json, which say of what they are, and values.png; the table, best worker first.

    Raises:
        InputError: the folder holds other values.
        StorageError: it cannot be written any more.
    """
    from crowd_sim.report.style import png, write_atomically  # a valuation that leaves no file draws nothing
    from crowd_sim.report.value_figure import values_with_errors

    kept(folder, asked)
    question = asked.question
    facts = {
        "score": question.score,
        "target": question.target,
        "workers": len(question.ids),
        "method": result.method,
        "evaluations": result.n_evaluations,
        "converged": result.converged,
        **asked.facts,
        "digest": question.digest,
    }
    table = table_of(question, result)
    try:
        write_table(folder / _TABLE, table, facts)
        figure = write_atomically(folder / _FIGURE, png(values_with_errors(table)))
        told = {"game" if name == "digest" else name: fact for name, fact in facts.items()}
        write_sealed(folder / _FACTS, {**told, FILES: digests_of(folder, [folder / _TABLE, figure])})
    except OSError as error:
        raise StorageError(folder, error.strerror or str(error)) from None
    remove(folder)
    return table
