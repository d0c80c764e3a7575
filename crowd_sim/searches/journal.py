"""What a search remembers: a line for every trial that was chosen and for every one that is over.

A process may be killed while it writes: what comes after the last whole line was never written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import StorageError
from crowd_sim.files import append_lines
from crowd_sim.integrity import DamagedError, unsealed
from crowd_sim.searches.trial import Trial

JOURNAL = "log-trials.jsonl"
"""Its name: verified as all logs are."""


class Journal:
    """The trials of a search's folder.

    Attributes:
        chosen: the values of every trial that was chosen, by number.
        trials: those that are over, by number.
        weights: digests of the files of the models that trials have used, by the models' names.

    Raises:
        DamagedError: a line is not what was written.
        StorageError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self.chosen: dict[int, dict[str, Any]] = {}
        self.trials: dict[int, Trial] = {}
        self.weights: dict[str, str] = {}
        self._held_out: dict[tuple[str, int], list[float]] = {}
        for number, line in enumerate(self._read(), 1):
            try:
                self._take(line)
            except (KeyError, TypeError, ValueError):  # a line of another journal, or one whose like before it is gone
                raise DamagedError(f"{self._path}:{number}", "it does not follow from the lines before") from None

    def choose(self, numbers: Sequence[int], values: Sequence[Mapping[str, Any]]) -> None:
        """Note the values of trials that begin."""
        lines = [
            {"event": "chosen", "trial": number, "values": dict(own)}
            for number, own in zip(numbers, values, strict=True)
        ]
        self._add(lines)

    def finish(self, trial: Trial) -> None:
        """Note a trial that is over."""
        told: dict[str, Any] = {"event": "over", "trial": trial.number, "state": trial.state}
        told |= {"sample": _numbers(trial.sample), "metrics": dict(trial.metrics)}
        self._add([told | ({"error": trial.error, "traceback": trial.traceback} if trial.error else {})])

    def use(self, weights: Mapping[str, str]) -> None:
        """Note which models were used."""
        if weights.items() - self.weights.items():
            self._add([{"event": "models", "weights": dict(weights)}])

    def hold_out(self, setting: str, seed: int, sample: NDArray[np.float64]) -> None:
        """Note what a setting came to on a held-out seed."""
        self._add([{"event": "held out", "setting": setting, "seed": seed, "sample": _numbers(sample)}])

    def held_out(self, setting: str, seed: int) -> NDArray[np.float64] | None:
        """What a setting came to on a held-out seed, float64[runs], if that is known."""
        found = self._held_out.get((setting, seed))
        return None if found is None else _sample(found)

    def _take(self, line: Mapping[str, Any]) -> None:
        if line["event"] == "held out":
            self._held_out[line["setting"], line["seed"]] = line["sample"]
            return
        if line["event"] == "models":
            self.weights.update(line["weights"])
            return
        number = line["trial"]
        if line["event"] == "chosen":
            self.chosen[number] = line["values"]
            return
        told = {key: line[key] for key in ("error", "traceback") if key in line}
        sample, values = _sample(line["sample"]), self.chosen[number]
        self.trials[number] = Trial(number, values, line["state"], sample, line["metrics"], **told)

    def _add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        append_lines(self._path, lines)
        for line in lines:
            self._take(json.loads(json.dumps(line)))  # as it will be read

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(self._path, error.strerror or str(error)) from error
        whole, last, rest = content.rpartition(b"\n")
        if rest:
            try:
                with self._path.open("rb+") as file:
                    file.truncate(len(whole) + len(last))
            except OSError as error:
                raise StorageError(self._path, error.strerror or str(error)) from error
        found = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                content = json.loads(line)
                if not isinstance(content, dict) or "digest" not in content:
                    raise DamagedError(f"{self._path}:{number}")
                found.append(unsealed(content, f"{self._path}:{number}"))
            except (ValueError, RecursionError) as error:
                if isinstance(error, DamagedError):
                    raise
                raise DamagedError(f"{self._path}:{number}", "it must be JSON") from None
        return found


def _numbers(sample: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in sample.tolist()]


def _sample(numbers: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in numbers], dtype=np.float64)
