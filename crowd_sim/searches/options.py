"""What a search's file says beside its space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from crowd_sim.config.strict import Strict, allowed_by
from crowd_sim.errors import InputError


class SearchOptions(Strict):
    """What is wanted, and what may be spent on it."""

    metric: str = Field(description="the metric whose mean over the runs is wanted, one of points.parquet's")
    direction: Literal["minimize", "maximize"] | None = Field(
        None, description="of the metric; None: that of distances, rounds and correlations is known"
    )
    trials: int = Field(30, ge=1, le=100_000, description="settings that are tried; with more, the same search goes on")
    at_once: int = Field(4, ge=1, le=1000, description="trials that are chosen without knowing of each other's outcome")
    prune: bool = Field(
        True, description="end trials that a quarter of the runs, 5 at least, shows to be worse than the best"
    )
    held_out: int = Field(
        3, ge=0, le=1000, description="other seeds on which the best setting and the own are compared"
    )

    @classmethod
    def split(cls, search: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What stands under `search`: the options, and the nested space.

        Raises:
            InputError: it is no mapping.
        """
        if not isinstance(search, Mapping):
            raise InputError("search", search, "must be a mapping with a metric and the fields to choose")
        options = {str(key): value for key, value in search.items() if key in cls.model_fields}
        return options, {str(key): value for key, value in search.items() if key not in cls.model_fields}

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """The options from what is given.

        Raises:
            InputError: names the first that is wrong.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = f"search.{first['loc'][0]}"
            if first["type"] == "missing":
                raise InputError(field, None, "must be given, for example search.metric=final_distance") from None
            raise InputError(field, first["input"], allowed_by(first["msg"])) from None
