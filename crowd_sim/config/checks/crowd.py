"""What is checked of a crowd, its bad workers and what screens them."""

from __future__ import annotations

from collections.abc import Collection

from crowd_sim.config.bad import BadConfig, groups_of
from crowd_sim.config.checks.defaults import check_default
from crowd_sim.config.checks.support import OF_RECORDS, Support
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.screens import ScreensConfig
from crowd_sim.config.task import TEXT_SOURCES, TaskConfig
from crowd_sim.crowd.bad import bounds_of
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS
from crowd_sim.crowd.screens import LABEL_SCREENS, PAIR_SCREENS, TEXT_SCREENS, VECTOR_SCREENS
from crowd_sim.crowd.sources.by_name import FILE_SOURCES
from crowd_sim.errors import InputError
from crowd_sim.registry import check_strategy


def check_screens(screens: ScreensConfig, crowd: CrowdConfig, task: TaskConfig) -> None:
    """Refuse screens that the task does not have, or that lack what they ask.

    Raises:
        InputError: names the field that is wrong.
    """
    kind, known = task.kind, _screens_of(task.kind)
    if kind == "verify":
        raise InputError(
            "screens.action", screens.action, "must be left out with task.kind=verify, which has no screens"
        )
    for name in screens.use:
        if name not in known:
            raise InputError("screens.use", name, f"must be among {', '.join(known)} with task.kind={kind}")
    if "expert" in known and "expert" in (screens.use or ("expert",)) and task.expert is None:
        raise InputError("task.expert", None, f"must be given with screens and task.kind={kind}: it is what screens")
    if screens.asks_peers and crowd.n_workers < 2:
        raise InputError("screens.use", "peers", "must be left out with crowd.n_workers=1: it asks the others")
    if screens.action == "merge" and "duplicates" not in known:
        raise InputError("screens.action", "merge", f"must be report or exclude with task.kind={kind}")
    if screens.action == "merge" and screens.use and "duplicates" not in screens.use:
        raise InputError("screens.use", list(screens.use), "must list duplicates with screens.action=merge")
    if kind != "vector" and "from_round" in screens.model_fields_set:
        allowed = f"must be left out with task.kind={kind}: texts are screened before the first round"
        raise InputError("screens.from_round", screens.from_round, allowed)


def _screens_of(kind: str) -> Collection[str]:
    if kind == "vector":
        return VECTOR_SCREENS
    if kind == "prefer":
        return PAIR_SCREENS
    return TEXT_SCREENS if kind == "imitate" else LABEL_SCREENS


def check_source(crowd: CrowdConfig, kind: str, support: Support) -> None:
    """Refuse a source that the task does not read, and fields that the source has no use for.

    Raises:
        InputError: names the field that is wrong.
    """
    if crowd.source not in support.sources and not (support.user_sources and ":" in crowd.source):
        if crowd.source in TEXT_SOURCES and kind == "vector":
            raise InputError("crowd.source", crowd.source, "contributes texts and needs task.kind=imitate")
        allowed = f"must be one of {', '.join(support.sources)} with task.kind={kind}"
        raise InputError("crowd.source", crowd.source, allowed)
    for field, needs, given in (
        ("examples_per_worker", "crowd.source=goemotions", crowd.source == "goemotions"),
        ("max_words", "crowd.examples_per_worker", crowd.examples_per_worker is not None),
    ):
        if getattr(crowd, field) is not None and not given:
            raise InputError(f"crowd.{field}", getattr(crowd, field), f"must be left out without {needs}")
    for field in ("id_column", "separator", "decimal"):
        sources = (*FILE_SOURCES, *(("records",) if field == "separator" else ()))
        if getattr(crowd, field) is not None and crowd.source not in sources:
            allowed = f"applies to crowd.source={', '.join(sources[:-1])} and {sources[-1]} only"
            raise InputError(f"crowd.{field}", getattr(crowd, field), allowed)
    if crowd.source == "synthetic" and crowd.path is not None:
        allowed = "must be left out with crowd.source=synthetic, which reads no file: crowd.source=vectors does"
        raise InputError("crowd.path", crowd.path, allowed)
    if kind != "vector":
        _check_texts(crowd, kind)


def _check_texts(crowd: CrowdConfig, kind: str) -> None:
    if crowd.source != "records":
        check_default(crowd, "crowd", "records", f"{kind} and crowd.source={crowd.source}")
    if crowd.source == "records" and crowd.path is None:
        raise InputError("crowd.path", None, "must be given: a file or folder of records")
    if kind in OF_RECORDS and crowd.target is None and not crowd.held_out:
        allowed = "must be given, a file of trusted records, or else crowd.held_out: what scores and reports see"
        raise InputError("crowd.target", None, allowed)
    if kind in OF_RECORDS and crowd.target is not None and crowd.held_out:
        raise InputError(
            "crowd.held_out", crowd.held_out, "must be left out with crowd.target, which scores and reports see"
        )
    untargeted = ("example_answers", "example_labels")
    if crowd.source in untargeted and crowd.target is not None:
        raise InputError("crowd.target", crowd.target, f"must be left out (null) with crowd.source={crowd.source}")
    if crowd.target is None and crowd.source not in ("records", *untargeted):
        wanted = {"goemotions": "an emotion", "feedback": "a file of texts", "example_feedback": "a style"}
        raise InputError("crowd.target", None, f"must be given: {wanted[crowd.source]}, where outputs should lead")
    if crowd.source.startswith("example_") and crowd.path is not None:
        allowed = f"must be left out with crowd.source={crowd.source}, which comes with the project"
        raise InputError("crowd.path", crowd.path, allowed)


def check_bad(crowd: CrowdConfig, kind: str, support: Support) -> None:
    """Refuse behaviours that the task does not know, and fields that they have no use for.

    Raises:
        InputError: names the field that is wrong.
    """
    several = isinstance(crowd.bad, tuple)
    for number, bad in enumerate(groups_of(crowd.bad)):
        where = f"crowd.bad.{number}" if several else "crowd.bad"
        if ":" in bad.behaviour:
            try:
                check_strategy("bad.behaviour", bad.behaviour)
            except ValueError as error:
                raise InputError(f"{where}.behaviour", bad.behaviour, str(error)) from None
        elif bad.behaviour not in support.bad:
            allowed = f"must be one of {', '.join(support.bad)} with task.kind={kind}, or package.module:Name"
            raise InputError(f"{where}.behaviour", bad.behaviour, allowed)
        if kind != "vector":
            _check_bad_texts(bad, where, kind)
        elif bad.strength is not None and bad.behaviour in BAD_BEHAVIOURS:
            most = BAD_BEHAVIOURS[bad.behaviour].most
            if bad.strength > most:
                allowed = f"must be at most {most:g}" if most else "must be left out"
                reason = f"with {where}.behaviour={bad.behaviour}" + ("" if most else ", which has no use of it")
                raise InputError(f"{where}.strength", bad.strength, f"{allowed} {reason}")
    groups = crowd.bad_groups
    if groups and bounds_of(groups, crowd.n_workers)[-1] == crowd.n_workers:
        for group in groups:
            if group.needs:
                allowed = f"must leave an honest worker of crowd.n_workers, {crowd.n_workers}: {group.behaviour} looks at those"
                raise InputError("crowd.bad.share", sum(group.share for group in groups), allowed)


def _check_bad_texts(bad: BadConfig, where: str, kind: str) -> None:
    for field in ("start", "stop", "period", "identities", "jitter", "fresh"):
        check_default(bad, where, field, kind)
    if bad.strength is not None and bad.strength > 1:
        allowed = f"must be at most 1 with task.kind={kind}: the share of the examples that are spoiled"
        raise InputError(f"{where}.strength", bad.strength, allowed)
