"""Reading what a run or a sweep left on disk, and refusing what is neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from omegaconf import OmegaConf

from crowd_sim.errors import InputError
from crowd_sim.files import arrow_table
from crowd_sim.integrity import check_file, check_sealed, check_yaml, read_json
from crowd_sim.paths import is_file, is_folder
from crowd_sim.report.measures import OF_CHOICES, task_of

METRICS = (
    "final_distance",
    "rounds_to_converge",
    "pearson_accurate",
    "spearman_accurate",
    "pearson_kernel_shap",
    "spearman_kernel_shap",
)
"""The metrics of ``points.parquet``, in the order in which a report shows them."""

ROUNDS_COLUMNS = ("run", "round", "distance")
WORKERS_COLUMNS = ("run", "worker", "points")
LLM_ROUNDS_COLUMNS = (
    *("run", "round", "distance", "distance_se", "model_score", "model_score_se", "best_score", "merged_score"),
    *("winner", "workers", "tokens_trained", "tokens_generated"),
)
CANDIDATES_COLUMNS = ("run", "round", "candidate", "score", "score_se")
MODELS_COLUMNS = (
    *("run", "model", "distance", "distance_se", "distinct", "copied", "tokens_trained", "tokens_generated", "seconds"),
)
OUTPUTS_COLUMNS = ("run", "model", "output", "prompt", "text", "distance")
VALUE_COLUMNS = frozenset({"shapley", "shapley_stderr"})
"""Columns of the workers' table that are there unless the configuration's valuation method is `none`."""

Kind = Literal["run", "sweep", "search", "llm", "choice"]
"""A run's folder is `llm` where its task is to imitate texts, `choice` where models are judged item by item."""

# The only fields that stand outside a section and so have no dot.
_TOP_LEVEL_FIELDS = ("seed", "runs")


def kind_of(folder: Path) -> Kind:
    """What ``folder`` holds.

    Raises:
        InputError: if it is the folder of no run, sweep or search, or a run's without a readable config.yaml.
    """
    if is_file(folder / "points.parquet"):
        return "sweep"
    if is_file(folder / "trials.parquet"):
        return "search"
    if is_file(folder / "rounds.parquet"):
        _, config = read_config(folder)
        task = task_of(config)
        return "llm" if task == "imitate" else "choice" if task in OF_CHOICES else "run"
    allowed = "must be the folder of a run (with rounds.parquet) or of a sweep (with points.parquet), or of a search"
    raise InputError("folder", folder, allowed if is_folder(folder) else f"no such folder; {allowed}")


def read_table(folder: Path, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The table ``folder/name``, which must hold at least ``columns`` and one row.

    Raises:
        InputError: if it is missing, unreadable, empty or lacks a column.
        DamagedError: it is not what was written.
    """
    path = folder / name
    if not is_file(path):
        raise InputError("folder", folder, f"must hold {name}")
    check_file(folder, name)
    try:
        table = arrow_table(path.read_bytes()).to_pandas()
    except Exception as error:  # of a file that is damaged Arrow and pandas raise almost anything
        raise InputError(str(path), None, f"must be a readable Parquet file ({error})") from error
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{path}: column", column, "is missing; the table must have it")
    if table.empty:
        raise InputError(str(path), None, "must hold at least one row")
    return table


def read_points(folder: Path) -> pd.DataFrame:
    """The table of a sweep's points, which must hold at least one metric's mean.

    Raises:
        InputError: as `read_table`, and if no metric is there.
    """
    points = read_table(folder, "points.parquet")
    if not any(f"{metric}_mean" in points.columns for metric in METRICS):
        allowed = f"must have a column <metric>_mean for at least one of {', '.join(METRICS)}"
        raise InputError(str(folder / "points.parquet"), None, allowed)
    return points


def read_summary(folder: Path, part: str = "metrics") -> dict[str, Any]:
    """The content of ``summary.json``, whose ``metrics`` map a name to its ``mean``, ``se`` and ``n``.

    Args:
        folder: of a run.
        part: another part that is asked for; an LLM run's ``distance`` maps a name to its ``mean`` and ``se``.

    Raises:
        InputError: if it is missing or not of that form.
    """
    path, summary = folder / "summary.json", read_whole_summary(folder)
    entries = summary.get(part)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(f"{path}: {part}", None, "must map each name to its mean and se")
    return summary


def read_whole_summary(folder: Path) -> dict[str, Any]:
    """The content of ``summary.json``.

    Raises:
        InputError: it is missing or cannot be read.
    """
    path = folder / "summary.json"
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InputError("folder", folder, "must hold summary.json") from None
    except OSError as error:
        raise InputError(str(path), None, f"must be a file that can be read ({error.strerror})") from None


def read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """The text of ``config.yaml`` and what it says.

    Raises:
        InputError: if it is missing or not a YAML mapping.
    """
    text = _read_text(folder, "config.yaml")
    check_yaml(text.encode(), folder / "config.yaml")
    check_sealed(folder)
    try:
        content = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:  # the YAML and the OmegaConf errors have no common parent
        raise InputError(str(folder / "config.yaml"), None, f"must be YAML ({error})") from error
    if not isinstance(content, dict) or not content:
        raise InputError(str(folder / "config.yaml"), None, "must be a YAML mapping that says something")
    return text, _renamed({str(key): value for key, value in content.items()})


_MOVED = {"selection": "search", "incumbent": "incumbent", "drop_used": "drop_used"}


def _renamed(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of an earlier version, which had a section `llm`, in the words of today."""
    section = config.pop("llm", None)
    if not isinstance(section, dict):
        return config
    tournament = config.get("tournament")
    moved = {new: section.pop(old) for old, new in _MOVED.items() if old in section}
    return {
        **config,
        "task": {"kind": "imitate", **section},
        "tournament": {**(tournament if isinstance(tournament, dict) else {}), **moved},
    }


def convergence_distance(config: dict[str, Any]) -> float:
    """The distance to the target from which a run of this configuration counts as converged; 5 unless it says so."""
    tournament = config.get("tournament")
    value = tournament.get("convergence_distance") if isinstance(tournament, dict) else None
    return float(value) if isinstance(value, int | float) else 5.0


def swept_fields(table: pd.DataFrame) -> list[str]:
    """The columns of ``table`` that are configuration fields (dotted, or top-level ones), in its order."""
    return [str(name) for name in table.columns if "." in str(name) or name in _TOP_LEVEL_FIELDS]


def ordered(values: pd.Series) -> list[Any]:
    """The distinct values: numbers ascending, anything else in the order of the table (that of the sweep's file)."""
    distinct = list(values.dropna().unique())
    return sorted(distinct) if is_numeric(values) else distinct


def is_numeric(values: pd.Series) -> bool:
    """Whether the values are numbers; truth values are not."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _read_text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("folder", folder, f"must hold {name}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(folder / name), None, f"must be readable text ({error})") from error
