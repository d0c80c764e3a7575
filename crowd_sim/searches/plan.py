"""Searches: a configuration, a space of its fields, and the metric for which the best setting is wanted.

A search's file is a run's configuration with one more key, `search`: the metric, the budget, and, nested as the fields are,
ranges {low, high, log, step} or lists of choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from crowd_sim.config.io import find_paths, load_content
from crowd_sim.config.places import look_up
from crowd_sim.errors import InputError
from crowd_sim.metrics import METRICS, is_of_detection
from crowd_sim.searches.options import SearchOptions
from crowd_sim.searches.space import Axis, Range, axes
from crowd_sim.sweeps.plan import with_values

_FIXED = ("actors", "seed", "runs", "task.kind")
"""Fields that no search chooses: where, on which draws, how often, and of what runs are."""

LESS_IS_BETTER = ("final_distance", "rounds_to_converge")
_MORE_IS_BETTER = ("pearson_", "spearman_")
_OF_FILES = ("crowd.source", "crowd.path", "crowd.id_column", "crowd.separator", "crowd.decimal")


@dataclass(frozen=True)
class Search:
    """A search, checked.

    Attributes:
        content: the file's content without `search`.
        space: the fields that are chosen, dotted, with what they may be.
        options: metric, budget and the like; the direction is known.
        given: paths that were found elsewhere as they were given, by field.
        base: the folder that they were given from.
    """

    content: dict[str, Any]
    space: dict[str, Axis]
    options: SearchOptions
    given: Mapping[str, str] | None = None
    base: Path | None = None

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Search:
        """A search's file, or a search folder's config.yaml, whose relative paths are looked for from where they were given.

        Raises:
            InputError: as `parse`, and what cannot be read.
        """
        content = load_content(path, overrides)
        plan = cls.parse(content)  # what is wrong is told as it was given
        found = deepcopy(content)
        given, base = find_paths(path, found, overrides)
        return replace(cls.parse(found), given=given, base=base) if given else plan

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Search:
        """A search from nested dictionaries.

        Raises:
            InputError: names what is wrong: no space, a range without ends, a value that its field does not allow, a metric
                that the configuration does not have.
        """
        if "sweep" in content:
            raise InputError("sweep", None, "is for `crowd-sim sweep`, not for a search")
        if "search" not in content:
            raise InputError(
                "search", None, "must name a metric and a space, for example search.tournament.step={low: 0.1, high: 1}"
            )
        base = {key: value for key, value in content.items() if key != "search"}
        config = RunConfig.parse(base)
        given, nested = SearchOptions.split(content["search"])
        options = SearchOptions.parse(given)
        _check_metric(options.metric, config)
        options = _with_direction(options)
        space = axes(nested, lambda field, value: _is_allowed(base, {field: value}))
        for field in space:
            if any(f"{field}.".startswith(f"{fixed}.") or fixed.startswith(f"{field}.") for fixed in _FIXED):
                raise InputError(f"search.{field}", None, "cannot be searched: it is the same for all trials")
        _check_ends(base, space)
        return cls(base, space, options)

    @cached_property
    def own(self) -> RunConfig:
        """The configuration as it is."""
        return self._as_found(RunConfig.parse(self.content))

    @cached_property
    def own_values(self) -> dict[str, Any] | None:
        """What the configuration itself has for the fields of the space; None where that is not all in it."""
        content = self.own.model_dump(mode="json")
        values = {field: look_up(content, field) for field in self.space}
        return values if all(axis.has(values[field]) for field, axis in self.space.items()) else None

    def config(self, values: Mapping[str, Any], **fields: Any) -> RunConfig:
        """The configuration with these values, and further fields of it.

        Raises:
            InputError: these values are not allowed together.
        """
        return self._as_found(RunConfig.parse({**with_values(self.content, values), **fields}))

    def determinants(self) -> dict[str, Any]:
        """What results depend on: all but the actors and how many trials and held-out seeds there are, which may grow."""
        options = self.options.model_dump(mode="json", exclude={"trials", "held_out"})
        space = {field: axis.described() for field, axis in self.space.items()}
        return {"base": self.own.determinants(), "search": {**options, "space": space}}

    def recorded(self, folder: Path) -> dict[str, Any]:
        """What the folder says of it: the configuration, and `search` as in a search's file."""
        nested: dict[str, Any] = {}
        for field, axis in self.space.items():
            *parents, leaf = field.split(".")
            node = nested
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = axis.described()
        options = self.options.model_dump(mode="json")
        return {**self.own.recorded(folder), "search": {**options, **nested}}

    def crowds(self) -> Iterator[RunConfig]:
        """The configuration, and one for every choice of files that the crowd may come from."""
        yield self.own
        for field, axis in self.space.items():
            if field in _OF_FILES:
                yield from (self.config({field: value}) for value in axis.ends())

    def _as_found(self, config: RunConfig) -> RunConfig:
        return config.given_as(dict(self.given), self.base) if self.given and self.base else config


def _with_direction(options: SearchOptions) -> SearchOptions:
    if options.direction is not None:
        return options
    metric = options.metric
    if metric in LESS_IS_BETTER:
        return options.model_copy(update={"direction": "minimize"})
    if metric.startswith(_MORE_IS_BETTER) or is_of_detection(metric):
        return options.model_copy(update={"direction": "maximize"})
    raise InputError("search.direction", None, f"must be given for {metric}: minimize or maximize")


def _check_metric(metric: str, config: RunConfig) -> None:
    """Refuse what is known to have no value, and a name of no metric as far as these are known before the first run.

    Raises:
        InputError: what there is.
    """
    valuation = config.valuation
    if metric == "rounds_to_converge" and config.task.kind != "vector":
        raise InputError("search.metric", metric, f"is of vectors alone; not of task.kind={config.task.kind}")
    if metric.endswith("_accurate") and valuation.method == "none":
        raise InputError("search.metric", metric, "needs values: valuation.method must not be none")
    if metric.endswith("_kernel_shap") and not valuation.kernel_shap_budget:
        raise InputError("search.metric", metric, "needs Kernel SHAP: valuation.kernel_shap_budget must be above 0")
    extra = config.payment or config.screens or config.tournament.observe or config.crowd.bad_groups
    if metric not in METRICS and config.task.kind == "vector" and not extra:
        raise InputError("search.metric", metric, f"must be one of {', '.join(METRICS)}")


def _is_allowed(content: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    try:
        RunConfig.parse(with_values(content, values))
    except InputError:
        return False
    return True


def _check_ends(content: Mapping[str, Any], space: Mapping[str, Axis]) -> None:
    """Every choice, and both ends of every range, must be allowed with the rest as it is, or with all lows, or all highs.

    Raises:
        InputError: one that is not.
    """
    corners = [{}, *({field: axis.ends()[end] for field, axis in space.items()} for end in (0, -1))]
    for field, axis in space.items():
        for value in axis.ends():
            if any(_is_allowed(content, {**corner, field: value}) for corner in corners):
                continue
            try:
                RunConfig.parse(with_values(content, {field: value}))
            except InputError as error:
                allowed = error.allowed if error.field.startswith(field) else f"{error.field}: {error.allowed}"
                raise InputError(f"search.{field}", value, allowed) from None


__all__ = ["LESS_IS_BETTER", "Range", "Search"]
