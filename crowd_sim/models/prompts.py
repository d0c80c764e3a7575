"""Prompts and responses in tokens: what the crowd wrote is plain text, control tokens come from the template alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crowd_sim.crowd.texts import Turn
from crowd_sim.errors import InputError

_PLACEHOLDER = "\ufdd0prompt\ufdd1"  # noncharacters: no template has them
_DATE = (
    "%Y=2024 %y=24 %m=07 %-m=7 %B=July %b=Jul %d=26 %-d=26 %e=26 %j=208 %A=Friday %a=Fri "
    "%H=00 %I=12 %M=00 %S=00 %p=AM %F=2024-07-26 %T=00:00:00"
)
"""Midnight of 26 July 2024, by the codes of strftime: the day it always is for chat templates that ask for the date, or a run's
results would depend on the day. It is the day that Llama 3's template falls back to."""


def prompt_ids(tokenizer: Any, template: str | None, prompt: str, before: Sequence[Turn] = ()) -> tuple[int, ...]:
    """The tokens of a prompt in its template: at least one.

    Args:
        tokenizer: of the model.
        template: a text with `{prompt}`; None: the tokenizer's chat template.
        prompt: a text; control tokens that it spells out are plain text.
        before: what was said before it, which only a chat template can tell.

    Raises:
        InputError: there is no chat template, or it fails; a prompt without tokens, or one with control tokens that a chat
            template changes; earlier turns with control tokens, or beside a template that has no place for them.
    """
    if before:
        return _conversation(tokenizer, template, prompt, before)
    text = _filled(tokenizer, template, prompt)
    if plain_ids(tokenizer, prompt) == _ids(tokenizer, prompt):
        ids = _ids(tokenizer, text)
    else:
        head, own, tail = _parted(text, _filled(tokenizer, template, _PLACEHOLDER), prompt)
        ids = (*_ids(tokenizer, head), *plain_ids(tokenizer, own), *_ids(tokenizer, tail))
    if not ids:
        raise InputError("prompt", prompt, "must have at least one token; the model's tokenizer makes none of it")
    return ids


def _conversation(tokenizer: Any, template: str | None, prompt: str, before: Sequence[Turn]) -> tuple[int, ...]:
    if template is not None:
        raise InputError(
            "task.prompt_template", template, "must be left out: examples with earlier turns have no place in it"
        )
    for text in (*(turn.text for turn in before), prompt):
        if plain_ids(tokenizer, text) != _ids(tokenizer, text):
            raise InputError(
                "prompt", text, "must have no control tokens of the model's in it: it is one of several turns"
            )
    return _ids(tokenizer, _filled(tokenizer, None, prompt, before))


def plain_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The tokens of a text, none of them a control token."""
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _parted(text: str, framed: str, prompt: str) -> tuple[str, str, str]:
    """What stands before, for and after the prompt in a filled template, which may trim the prompt."""
    head, found, tail = framed.partition(_PLACEHOLDER)
    own = text.removeprefix(head).removesuffix(tail)
    if not found or head + own + tail != text or own.strip() != prompt.strip():
        allowed = "must have no control tokens of the model's in it: its chat template changes with the prompt"
        raise InputError("prompt", prompt, allowed)
    return head, own, tail


def _filled(tokenizer: Any, template: str | None, prompt: str, before: Sequence[Turn] = ()) -> str:
    if template is not None:
        return template.replace("{prompt}", prompt)
    if not tokenizer.chat_template:
        raise InputError("task.prompt_template", None, "must be given: the model has no chat template")
    turns = [{"role": turn.role, "content": turn.text} for turn in (*before, Turn("user", prompt))]
    try:
        own = _dated(tokenizer.get_chat_template())
        return str(tokenizer.apply_chat_template(turns, chat_template=own, add_generation_prompt=True, tokenize=False))
    except Exception as error:  # of any class: it depends on the template
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        allowed = f"must be given: the model's chat template fails ({reason})"
        raise InputError("task.prompt_template", None, allowed) from None


def _dated(template: str) -> str:
    """A chat template for which it is always the same day.

    As a macro: of functions that are given to a template, transformers leaves nothing but their names.
    """
    if "strftime_now" not in template:
        return template
    pairs = (pair.split("=") for pair in _DATE.split())
    replaced = "".join(f'|replace("{code}", "{value}")' for code, value in pairs)
    # +: the line end that a template may begin with is its own
    return f"{{% macro strftime_now(format) %}}{{{{ format{replaced} }}}}{{% endmacro +%}}{template}"
