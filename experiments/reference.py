"""The configuration reference, made from the models.

`python -m experiments.reference` prints it, `--write README.md` puts it in the README.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crowd_sim.config import RunConfig

BEGIN, END = "<!-- reference: begin -->", "<!-- reference: end -->"


def reference() -> str:
    """A Markdown table: every field, what is allowed, its default and what it means."""
    rows = ["| field | allowed | default | meaning |", "| --- | --- | --- | --- |", *_rows(RunConfig, "")]
    return "\n".join(rows)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _rows(annotation, f"{prefix}{name}.")
        else:
            default = json.dumps(field.default, ensure_ascii=False)
            yield f"| `{prefix}{name}` | {_allowed(field)} | `{default}` | {field.description} |"


def _allowed(field: FieldInfo) -> str:
    """The type and its bounds in words."""
    schema = field.annotation
    names = {int: "integer", float: "number", str: "text"}
    words = names.get(schema, "") if isinstance(schema, type) else ""
    if "dict" in str(schema):
        words = "{name: number > 0}"
    if not words:
        options = [str(option) for option in getattr(schema, "__args__", ())]
        if "NoneType" in str(schema) or type(None) in getattr(schema, "__args__", ()):
            words = "text or null"
        elif "Literal" in str(schema):
            words = " or ".join(f"`{option}`" for option in options)
        else:
            words = "[low, high]"
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    for bound in field.metadata:
        for name, sign in signs.items():
            if (limit := getattr(bound, name, None)) is not None:
                words += f", {sign} {limit:,}" if limit != 2**63 else f", {sign} 2^63"
    return words


def with_reference(text: str) -> str:
    """A document with what stands between the markers replaced by the reference.

    Raises:
        ValueError: it has no markers.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document must have the lines {BEGIN} and {END}")
    return f"{head}{begin}\n{reference()}\n{end}{tail}"


def main() -> None:
    """Print the reference, or write it into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace what stands between the markers of this file"
    )
    path = parser.parse_args().write
    if path is None:
        print(reference())
    else:
        path.write_text(with_reference(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
