"""A run's whole configuration, and what is checked across its sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from crowd_sim.config.actors import ActorsConfig
from crowd_sim.config.bad import ONE, SEVERAL
from crowd_sim.config.checks.sections import check_sections
from crowd_sim.config.checks.task import check_generators
from crowd_sim.config.crowd import CrowdConfig
from crowd_sim.config.payment import PaymentConfig
from crowd_sim.config.places import KEY, put, relative_paths, seen_from
from crowd_sim.config.screens import ScreensConfig
from crowd_sim.config.strict import Strict, allowed_by, bounds
from crowd_sim.config.task import OF_CHOICES, TaskConfig
from crowd_sim.config.tournament import DEFENCES, TournamentConfig
from crowd_sim.config.valuation import ValuationConfig
from crowd_sim.errors import InputError
from crowd_sim.payment.rules import GAME_RULES


class RunConfig(Strict):
    """A run, or `runs` of them that differ only in their random streams."""

    seed: int = Field(0, ge=0, lt=2**63, description="with the rest of this file it determines every result")
    runs: int = Field(1, ge=1, le=1_000_000, description="replicates: independent runs of this configuration")
    crowd: CrowdConfig = CrowdConfig()
    tournament: TournamentConfig = TournamentConfig()
    valuation: ValuationConfig = ValuationConfig()
    actors: ActorsConfig = ActorsConfig()
    task: TaskConfig = TaskConfig()
    payment: PaymentConfig | None = None
    screens: ScreensConfig | None = None

    _given: dict[str, str] = PrivateAttr(default_factory=dict)
    _base: Path | None = PrivateAttr(default=None)

    @classmethod
    def parse(cls, content: dict[str, Any]) -> Self:
        """A configuration from nested dictionaries.

        Raises:
            InputError: names the first field that is wrong, its value and what is allowed.
        """
        if content.get("llm") is not None:
            allowed = (
                "is now task: with kind: imitate; its fields selection, incumbent and drop_used are tournament.search, "
                "tournament.incumbent and tournament.drop_used"
            )
            raise InputError("llm", None, allowed)
        try:
            config = cls.model_validate({name: value for name, value in content.items() if name != "llm"})
        except ValidationError as error:
            raise _first_line(error) from None
        check_sections(config.crowd, config.tournament, config.valuation, config.task, config.payment, config.screens)
        check_generators(config.actors, config.task)
        return config

    def given_as(self, paths: dict[str, str], base: Path) -> Self:
        """The same, remembering how paths that were found elsewhere were given, by field, and from which folder."""
        self._given, self._base = paths, base
        return self

    def as_given(self) -> Self:
        """The configuration with all paths as they were given: what is told of a run does not depend on where it went on."""
        return type(self).parse(self._as_given(self.model_dump())) if self._given else self

    def recorded(self, folder: Path) -> dict[str, Any]:
        """What a run's folder says of its configuration: paths as they were given, and where from (`working_folder`)."""
        content = self._as_given(self.model_dump(mode="json", exclude=self._absent))
        if any(relative_paths(content)):
            content[KEY] = seen_from(folder, self._base or Path.cwd())
        return content

    def _as_given(self, content: dict[str, Any]) -> dict[str, Any]:
        for field, path in self._given.items():
            put(content, field, path)
        return content

    @property
    def _absent(self) -> set[str]:
        """Sections that are not there unless they are given."""
        return {name for name in ("payment", "screens") if getattr(self, name) is None}

    @property
    def needs_phi(self) -> bool:
        """Whether texts are mapped: outputs, or a reward model's pairs."""
        peers = self.screens is not None and self.screens.asks_peers
        return self.task.kind == "imitate" or self.task.asks_rewards or peers

    @property
    def needs_evidence(self) -> bool:
        """Whether something asks for what workers contributed over the rounds (`crowd_sim.tournament.evidence`)."""
        if self.task.kind != "vector":  # texts are no points
            return False
        merged = self.payment is not None and self.payment.identities == "merge"
        paid = self.payment is not None and self.payment.rule in GAME_RULES
        valued = (self.valuation.method != "none" or paid) and bool(self.crowd.bad_groups)
        return merged or valued or self.screens is not None

    def determinants(self) -> dict[str, Any]:
        """What results depend on: everything but the actors, whether a merged model is written, and what saves memory."""
        # what a field says by its default, or has nothing to say of, must not change the fingerprints of older folders
        exclude: dict[str, Any] = {"actors": True} | dict.fromkeys(self._absent, True)
        for section, fields in (
            (
                "crowd",
                (
                    *("behaviour", "bad", "examples_per_worker", "held_out", "max_words", "records"),
                    *("id_column", "separator", "decimal"),
                ),
            ),
            ("tournament", ("observe", "search", "incumbent", "drop_used", *DEFENCES)),
            (
                "task",
                (
                    "row_tokens",
                    "adapter",
                    "schedule",
                    "warmup",
                    "engine",
                    "quantization",
                    "objective",
                    "beta",
                    "label_smoothing",
                    "sft_weight",
                    "tokens_per_round",
                    "judged_by",
                    "verifier",
                    *OF_CHOICES,
                ),
            ),
        ):
            model = getattr(self, section)
            exclude[section] = {
                name for name in fields if getattr(model, name) == type(model).model_fields[name].default
            }
        if not self.task.reinforces:
            exclude["task"].add("kl")
        if self.task.kind == "vector":
            exclude |= {"task": True, "crowd": exclude["crowd"] | {"target"}}
        content = self._as_given(self.model_dump(mode="json", exclude=exclude))
        if self.task.kind != "vector":
            content["task"]["merged_model"] = False  # what is written besides changes no result
            del content["task"]["gradient_checkpointing"]  # nor does it
        return content


def _first_line(error: ValidationError) -> InputError:
    first, *others = error.errors()
    if first["type"] == "missing":  # by its right name what is misspelt is missing
        first = next((other for other in others if other["type"] == "extra_forbidden"), first)
    location, value = tuple(part for part in first["loc"] if part not in (ONE, SEVERAL)), first["input"]
    field = ".".join(str(part) for part in location) or "configuration"
    message = allowed_by(first["msg"])
    if first["type"] == "extra_forbidden":
        siblings = _fields_of(location[:-1])
        near = _nearest(field) or _nearest_group(location, siblings)
        if near == field:  # a key with a dot in it
            group, _, name = field.rpartition(".")
            near = f"{name} in the group {group}, as in {group}: {{{name}: …}}"
        message = f"unknown key; {near and f'perhaps {near}; '}allowed here: {', '.join(siblings)}"
    elif first["type"] == "model_type":
        message = f"must be a group of fields: {', '.join(_fields_of(location))}"
    elif first["type"] == "missing":  # what pydantic shows then is all that stands beside it
        what = _model_at(location[:-1]).model_fields[str(location[-1])].description
        return InputError(field, None, f"must be given: {what}")
    elif first["type"] in _NO_NUMBER:
        message += _bounds_of(location)
    # an InputError shows no value where it is None
    return InputError(field, value, message if value is not None else f"is null, {message}")


_NO_NUMBER = ("int_type", "int_parsing", "int_from_float", "float_type", "float_parsing")
"""Errors of pydantic's that name the type alone, and not the bounds beside it."""


def _bounds_of(location: tuple[int | str, ...]) -> str:
    """The bounds of the field at this place as the rest of a sentence; empty where it has none, or is in a list."""
    field = _model_at(location[:-1]).model_fields.get(str(location[-1]))
    return bounds(field.metadata) if field is not None else ""


_ALIKE = 0.6


def _nearest(field: str) -> str:
    """The field whose name, or else whose last part, is most like that of a field that is none; empty where none is."""
    known, field = list(_leaves(RunConfig)), field.lower()
    word = field.rpartition(".")[2]
    for near in get_close_matches(field, known, 3, 0.75):
        # a long group in common is no likeness: tournament.nix is not tournament.rounds
        if SequenceMatcher(None, word, near.rpartition(".")[2]).ratio() >= _ALIKE:
            return near
    by_name = {name.rpartition(".")[2]: name for name in reversed(known)}
    ending = (name for name in by_name if name.endswith(f"_{word}"))  # workers: n_workers
    last = word if word in by_name else next(ending, next(iter(get_close_matches(word, by_name, 1, 0.75)), ""))
    return by_name.get(last, "")


def _nearest_group(location: tuple[int | str, ...], siblings: Sequence[str]) -> str:
    """The group whose name is most like that of one that is none, Tournament: tournament; empty where none is."""
    near = get_close_matches(str(location[-1]).lower(), siblings, 1, 0.75)
    return ".".join([*map(str, location[:-1]), *near]) if near else ""


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _group(field.annotation)
        if inner is not None:
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def _fields_of(location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the group at this place."""
    return list(_model_at(location).model_fields)


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The group at this place."""
    model: type[BaseModel] = RunConfig
    for part in location:
        if isinstance(part, str):
            model = _group(model.model_fields[part].annotation) or model
    return model


def _group(annotation: Any) -> type[BaseModel] | None:
    """The group of fields that a field is; an optional one is a union of the group and None."""
    return next((option for option in (annotation, *get_args(annotation)) if hasattr(option, "model_fields")), None)
