"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Configuration = Annotated[
    Path, typer.Argument(help="A YAML file, or the name of a configuration that ships (`crowd-sim configs`).")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Dotted overrides, for example crowd.n_workers=1000.", show_default=False)
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
