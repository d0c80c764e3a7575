"""Verifiers: what an output to a prompt earns, told by rules and not by a model.

A verifier takes (prompt, output, answer) and returns a number; built-in ones 1 where the output is right and 0 where not,
`vader` anything between. A user-defined one may be named as ``package.module:Name``.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from typing import Any

from crowd_sim.errors import InputError, StrategyError
from crowd_sim.user_defined import resolve_in

Verifier = Callable[[str, str, str], float]
"""(prompt, output, answer) → the reward."""

FIELD = "task.verifier.kind"
_PATTERN = "task.verifier.pattern"
_LONGEST = 60
"""Characters of an output that an error shows."""
MOST_REWARD = 1e6
"""Of either sign: sums and squares of larger rewards would not stay finite, or would drown all others."""


@dataclass(frozen=True)
class Rule:
    """Which verifier, and what it looks for.

    Attributes:
        kind: a name in `VERIFIERS`, or user-defined.
        pattern: of `regex`; `{answer}` in it stands for the answer, letter by letter.
    """

    kind: str = "exact"
    pattern: str | None = None


def verifier_of(rule: Rule) -> Verifier:
    """The verifier that a rule names.

    Raises:
        InputError: nothing of that name can be loaded, or a package that it needs is not there.
    """
    try:
        found = resolve_in(VERIFIERS, rule.kind)
    except ValueError as error:
        raise InputError(FIELD, rule.kind, str(error)) from None
    if rule.kind == "regex":
        return _matcher(str(rule.pattern))
    if rule.kind == "vader":
        _polarity()
    return found if rule.kind in VERIFIERS else partial(_checked, rule.kind, found)


def check_answer(rule: Rule, answer: str, place: str) -> None:
    """Refuse an answer that no output could be held against.

    Raises:
        InputError: names its place.
    """
    if rule.kind == "number" and _number(answer) is None:
        raise InputError(place, answer, f"answer must be a number with {FIELD}=number")
    if rule.kind == "json" and _json(answer) is _NOTHING:
        raise InputError(place, answer, f"answer must be JSON with {FIELD}=json")
    if rule.kind == "vader" and answer not in _SIDES:
        raise InputError(place, answer, f"answer must be one of {', '.join(_SIDES)} with {FIELD}=vader")
    if rule.kind == "length" and _span(answer) is None:
        raise InputError(
            place, answer, f"answer must be a number of words, or a range such as 5-8, with {FIELD}=length"
        )


def meaning_of(rule: Rule, answer: str) -> Hashable:
    """Equal of answers that the verifier takes for the same; of a kind that cannot tell, of the same text alone."""
    if rule.kind == "exact":
        return tuple(answer.split())
    if rule.kind == "number":
        return _number(answer)
    if rule.kind == "json":
        return _hashable(_json(answer))
    return _span(answer) if rule.kind == "length" else answer


def _exact(prompt: str, output: str, answer: str) -> float:
    """The answer and nothing else; spaces and line ends count as one space each, and not at all at either end."""
    del prompt
    return float(output.split() == answer.split())


def _number_of(prompt: str, output: str, answer: str) -> float:
    """The last number of the output is the answer's."""
    del prompt
    found = _NUMBER.findall(output)
    return float(bool(found) and _number(found[-1]) == _number(answer))


def _json_of(prompt: str, output: str, answer: str) -> float:
    """The output is JSON, and says what the answer says: spaces and the order of keys do not count."""
    del prompt
    found = _json(output)
    return float(found is not _NOTHING and _same(found, _json(answer)))


_SECONDS = 5.0
"""Of a processor that a pattern may take on one output: repetitions inside or beside each other may take years."""


def _matcher(pattern: str) -> Verifier:
    try:
        import regex  # like re, but with a limit
    except ImportError:
        allowed = "needs the package regex, which transformers brings: pip install 'crowd-sim[llm]'"
        raise InputError(FIELD, "regex", allowed) from None
    try:
        regex.compile(pattern.replace("{answer}", ""))
    except regex.error as error:
        raise InputError(_PATTERN, pattern, f"must be a regular expression: {error}") from None
    return partial(_regex, pattern)


def _regex(pattern: str, prompt: str, output: str, answer: str) -> float:
    """The pattern is found in the output.

    One that takes too long ends the run: were it worth 0, rewards would depend on how fast a machine is.
    """
    import regex

    del prompt
    try:
        return float(regex.search(pattern.replace("{answer}", re.escape(answer)), output, timeout=_SECONDS) is not None)
    except TimeoutError:
        shown = output if len(output) <= _LONGEST else output[: _LONGEST - 1] + "…"
        allowed = (
            f"takes more than {_SECONDS:g} seconds on the output {shown!r}; "
            "must have no repetition inside or beside another that finds the same, as (a+)+ or (.|\\s)* do"
        )
        raise InputError(_PATTERN, pattern, allowed) from None


def _words(prompt: str, output: str, answer: str) -> float:
    """The output has as many words as the answer says: a number, or a range such as 5-8."""
    del prompt
    span = _span(answer)
    return float(span is not None and span[0] <= len(output.split()) <= span[1])


def _vader(prompt: str, output: str, answer: str) -> float:
    """How far the output's sentiment is on the answer's side, 0 to 1 (Hutto, Gilbert 2014)."""
    del prompt
    compound = float(_polarity().polarity_scores(output)["compound"])
    return (1 + compound) / 2 if answer == _SIDES[0] else (1 - compound) / 2


VERIFIERS: Mapping[str, Verifier] = {
    "exact": _exact,
    "number": _number_of,
    "json": _json_of,
    "regex": partial(_regex, ""),
    "length": _words,
    "vader": _vader,
}

_NUMBER = re.compile(r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?")
_SIDES = ("positive", "negative")
_NOTHING = object()
_SPAN = re.compile(r"(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?")


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text.strip().replace(",", "").replace("−", "-"))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON is: true is no 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _hashable(value: Any) -> Hashable:
    """Equal where `_same` finds JSON equal."""
    if isinstance(value, dict):
        return "object", frozenset(zip(value, map(_hashable, value.values()), strict=True))
    if isinstance(value, list):
        return "list", tuple(map(_hashable, value))
    return isinstance(value, bool), value


def _span(text: str) -> tuple[int, int] | None:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    return (low, high) if low <= high else None


@cache
def _polarity() -> Any:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        allowed = "needs the package vaderSentiment, of the extra vader: pip install 'crowd-sim[vader]'"
        raise InputError(FIELD, "vader", allowed) from None
    return SentimentIntensityAnalyzer()


def _checked(name: str, function: Verifier, prompt: str, output: str, answer: str) -> float:
    try:
        given = function(prompt, output, answer)
    except Exception as error:
        raise StrategyError(f"{FIELD} = {name!r} failed", repr(error), traceback.format_exc()) from error
    try:
        reward = float(given)
    except (TypeError, ValueError):
        reward = float("nan")
    if not abs(reward) <= MOST_REWARD:
        raise InputError(FIELD, name, f"returned {given!r}; must return a finite number from -1e6 to 1e6")
    return reward
