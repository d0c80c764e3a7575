"""A JSON Schema of configurations, for editors: `crowd-sim configs --schema > crowd-sim.schema.json`.

A file whose first line is ``# yaml-language-server: $schema=crowd-sim.schema.json`` is then checked and completed as it is
written.
"""

from __future__ import annotations

from typing import Any

from crowd_sim.config.run import RunConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a run's file and of a sweep's or a search's, whose key nests lists, or ranges, as the fields are nested."""
    found = RunConfig.model_json_schema()
    fields = {
        **found.pop("properties"),
        "sweep": {"type": "object", "description": "lists of values, nested as the fields are"},
        "search": {
            "type": "object",
            "description": "metric, trials, ranges and lists of choices, nested as the fields are",
        },
    }
    return {"$schema": _DIALECT, "$id": "crowd-sim.schema.json", **found, "title": "crowd-sim", "properties": fields}
