"""The configuration reference, made from the models.

`python -m crowd_sim.config.reference` prints it, `--write docs/configuration.md` puts it in the documents.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from crowd_sim.config import RunConfig
from crowd_sim.config.bad import BadConfig
from crowd_sim.config.strict import bounds

BEGIN, END = "<!-- reference: begin -->", "<!-- reference: end -->"


def reference() -> str:
    """A Markdown table: every field, what is allowed, its default and what it means."""
    rows = ["| field | allowed | default | meaning |", "| --- | --- | --- | --- |", *_rows(RunConfig, "")]
    return "\n".join(rows)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        group = next((option for option in _options(field.annotation) if _is_group(option)), None)
        if group is None or (not field.is_required() and field.default == ()):
            default = "" if field.is_required() else f"`{json.dumps(field.default, ensure_ascii=False)}`"
            yield f"| `{prefix}{name}` | {_allowed(field)} | {default} | {field.description} |"
        if group is not None:
            yield from _rows(group, f"{prefix}{name}.")


def _allowed(field: FieldInfo) -> str:
    """The type and its bounds in words."""
    words = " or ".join(_words(option) for option in _options(field.annotation))
    return words + bounds(field.metadata)


def _options(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, without what they are annotated with; of anything else itself."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(get_args(part)[0] if _is_tagged(part) else part for part in get_args(annotation))
    return (annotation,)


def _is_tagged(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and any(isinstance(part, Tag) for part in get_args(annotation))


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _words(annotation: Any) -> str:
    names = {
        int: "integer",
        float: "number",
        str: "text",
        bool: "`true` or `false`",
        type(None): "null",
        BadConfig: "mapping",
    }
    if annotation in names:
        return names[annotation]
    inner, origin = get_args(annotation), get_origin(annotation)
    if origin is Annotated:
        return _words(inner[0]) + "".join(bounds(getattr(part, "metadata", [part])) for part in inner[1:])
    if origin is dict:
        return "{name: number > 0}"
    if origin is Literal:
        return " or ".join(f"`{option}`" for option in inner)
    if inner[1:] == (...,):
        kind, *limits = _words(inner[0]).split(",", 1)
        return ",".join([f"list of {kind if kind.endswith('`') else kind + 's'}", *limits])
    return "[low, high]"


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
