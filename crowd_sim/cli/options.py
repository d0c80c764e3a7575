"""Arguments and options that several commands take, and how they are read and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from crowd_sim.errors import InputError, StrategyError

_MOST_EVALUATIONS = 10**12

Configuration = Annotated[
    Path, typer.Argument(help="A YAML file, or the name of a configuration that ships (`crowd-sim configs`).")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Dotted overrides, for example crowd.n_workers=1000; of one given twice the last counts.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="The folder for the results. [default: runs/NAME-FINGERPRINT]")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="A cluster to join (auto, host:port), or `none` to do all in this process. "
        "[default: RAY_ADDRESS, else a local Ray is started]",
    ),
]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would run, on what and for about how long; write nothing.")
]

Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker",
        help="tensorboard, mlflow, wandb (extra trackers), or package.module:Name; may be repeated.",
        show_default=False,
    ),
]

Trust = Annotated[
    bool, typer.Option("--trust", help="Load what the configuration of a run's or a sweep's folder names, too.")
]


def evaluations(given: str | int) -> int:
    """A budget of evaluations as a configuration takes it: 10000, 1e4.

    Raises:
        BadParameter: it is none.
    """
    with suppress(ArithmeticError, ValueError):
        number = Decimal(given)
        if 1 <= number <= _MOST_EVALUATIONS and number == int(number):
            return int(number)
    raise typer.BadParameter("must be a whole number from 1 to 1e12, such as 10000 or 1e4")


@contextmanager
def naming(options: Mapping[str, str]) -> Iterator[None]:
    """Errors name options, ``--budget``, where functions have arguments, or configurations fields, by these names.

    Raises:
        InputError, StrategyError: by its option.
    """
    try:
        yield
    except InputError as error:
        if error.field not in options:
            raise
        raise InputError(options[error.field], error.value, error.allowed) from None
    except StrategyError as error:
        field, equals, rest = error.place.partition(" = ")
        raise StrategyError(options.get(field, field) + equals + rest, error.cause, error.trace) from None
