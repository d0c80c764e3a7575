"""Golden digests against new ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.golden.hashing import Digests

PATH = Path(__file__).parent / "golden.json"


@dataclass(frozen=True)
class Difference:
    """Columns, `file: column`, by what has become of them."""

    changed: list[str]
    missing: list[str]
    added: list[str]

    def words(self) -> str:
        """All of it, a line for each kind."""
        return "\n".join(f"{kind}: {', '.join(names)}" for kind, names in vars(self).items() if names)


def difference(golden: Digests, found: Digests) -> Difference:
    """What has become of the golden columns, and what there is besides them."""
    before, now = _flat(golden), _flat(found)
    return Difference(
        changed=[name for name in before if name in now and now[name] != before[name]],
        missing=[name for name in before if name not in now],
        added=[name if name != "command: error" else f"{name} {now[name]}" for name in now if name not in before],
    )


def read() -> dict[str, Any]:
    """`versions`, and by kind and name the digests."""
    return json.loads(PATH.read_text(encoding="utf-8"))


def _flat(content: Digests) -> dict[str, str]:
    return {f"{file}: {column}": digest for file, own in content.items() for column, digest in own.items()}
