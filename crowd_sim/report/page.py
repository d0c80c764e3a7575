"""What the pages of all kinds of folders have in common: settings, record, versions, figures."""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from crowd_sim.report.captions import Caption
from crowd_sim.report.labels import field_words, three_digits, value_words


def settings(config: dict[str, Any], fields: Iterable[str]) -> list[tuple[str, str]]:
    """The fields of a configuration that are set, by the names and values that a reader meets."""
    found = [(field, look_up(config, field)) for field in fields]
    return [(field_words(field), value_words(value)) for field, value in found if value is not None]


def look_up(config: dict[str, Any], field: str) -> Any:
    """The value of a dotted field, None where a configuration has none."""
    value: Any = config
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def record(summary: dict[str, Any], config: dict[str, Any], rest: dict[str, Any]) -> list[tuple[str, str]]:
    """What identifies the run: its fingerprint, and whatever single values its summary holds besides."""
    fingerprint = summary.get("fingerprint", config.get("fingerprint"))
    entries = [("Fingerprint", str(fingerprint))] if fingerprint is not None else []
    for key, value in rest.items():
        if isinstance(value, float):
            entries.append((key.capitalize(), three_digits(value)))
        elif isinstance(value, str | int):
            entries.append((key.capitalize(), str(value)))
    return entries


def versions(summary: dict[str, Any], config: dict[str, Any]) -> list[tuple[str, str]]:
    """The versions the run recorded, and those that drew this page."""
    recorded = summary.get("versions") or config.get("versions")
    entries = [(f"{name}", f"{value}") for name, value in recorded.items()] if isinstance(recorded, dict) else []
    drawn = [f"{name} {_installed(name)}" for name in ("crowd-sim", "matplotlib", "pandas")]
    return [*entries, ("This page", ", ".join([*drawn, f"Python {platform.python_version()}"]))]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a working directory shipped to a cluster is not installed
        return "(not installed)"


def figures(paths: list[Path], captions: dict[str, Caption]) -> list[dict[str, str]]:
    """Pictures with what stands under them, ready for the template."""
    return [
        {
            "data": base64.b64encode(path.read_bytes()).decode("ascii"),
            "alt": captions[path.stem].title,
            "title": captions[path.stem].title,
            "text": captions[path.stem].text,
            "width": captions[path.stem].width,
        }
        for path in paths
    ]
