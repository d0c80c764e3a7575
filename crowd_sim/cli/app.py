"""The command line `crowd-sim`.

Bad input ends in one line on standard error and exit status 2; a cluster that is missing, too small or gone in one line and 1.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from crowd_sim.characters import visible
from crowd_sim.cli.data import data
from crowd_sim.cli.group import Group
from crowd_sim.cli.options import (
    Configuration,
    DryRun,
    Out,
    Overrides,
    Quiet,
    RayAddress,
    Trackers,
    Trust,
    evaluations,
    naming,
)
from crowd_sim.cli.output import plain_console, unfailing_output
from crowd_sim.cli.saying import NothingDone, fail, loading, say, say_each
from crowd_sim.errors import ClusterError, InputError, StorageError, StrategyError
from crowd_sim.paths import is_folder

if TYPE_CHECKING:
    from crowd_sim.commands.sweep import Swept
    from crowd_sim.trackers import Named

# what a command needs is imported by the command: help and a wrong option should not wait for pandas and Ray
app = typer.Typer(
    cls=Group,
    help="Simulate crowd-sourced fine-tuning, and what everyone in the crowd was worth.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(data, name="data")

_INTERRUPTED = 130
_RESUMABLE = ("run", "sweep", "search", "value")
"""Commands that keep what is done as they go, and are continued by being given again."""


def _version(asked: bool) -> None:
    if asked:
        from crowd_sim import __version__

        say(f"crowd-sim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Simulate crowd-sourced fine-tuning, and what everyone in the crowd was worth."""


@app.command()
def run(
    configuration: Annotated[
        Path | None,
        typer.Argument(help="A YAML file, or the name of a configuration that ships (`crowd-sim configs`)."),
    ] = None,
    overrides: Overrides = None,
    out: Out = None,
    ray_address: RayAddress = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="A run's folder: its own configuration is gone on with.")
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="Go on from the last checkpoint with a changed configuration."),
    ] = False,
    tracker: Trackers = None,
    trust: Trust = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Simulate a configuration's runs and value their workers; given again, a run goes on from its last checkpoint.

    Example: `crowd-sim run quickstart crowd.n_workers=100 runs=50 --out runs/hundred`, and after an interruption the same,
    or `crowd-sim run --resume runs/hundred`
    """
    if resume is not None:
        if out is not None:
            raise InputError("--out", str(out), "must be left out where --resume names the folder")
        # without a configuration the first thing that stands in its place is an override
        overrides = [*([str(configuration)] if configuration else []), *(overrides or [])]
        configuration, out = resume / "config.yaml", resume
    if configuration is None:
        allowed = (
            "a YAML file, a name of `crowd-sim configs`, or --resume with a run's folder, is needed; `crowd-sim run --help` "
            "shows what is allowed"
        )
        raise InputError("Missing argument 'CONFIGURATION'", None, allowed)
    console = plain_console(quiet=quiet)
    with loading(console, silent=dry_run):
        from crowd_sim.cli.run import outcome_table, workers_view
        from crowd_sim.cli.run import run as run_config
        from crowd_sim.config.io import load_config

        config = load_config(configuration, overrides or [], handed_over=resume is not None, trust=trust)
    if dry_run:
        from crowd_sim.commands.rehearsal import of_run

        _check_trackers(tracker)
        say_each(of_run(config, configuration.stem, out, ray_address))
        return
    finished = run_config(config, configuration.stem, out, ray_address, console, accept_changes, _trackers(tracker))
    if quiet:
        return
    console.print(workers_view(finished.outcome))
    console.print(outcome_table(finished))
    assert finished.folder is not None  # noqa: S101 - it has a name
    if finished.was_there:
        say(f"{finished.folder} had finished before: its outcome was read, nothing was done again")
    figures = ", ".join(path.name for path in sorted((finished.folder / "figures").glob("*.png")))
    say(f"{finished.folder}: tables, report.html and figures ({figures})")


@app.command()
def sweep(
    configuration: Configuration,
    overrides: Overrides = None,
    out: Out = None,
    ray_address: RayAddress = None,
    shard: Annotated[
        str | None, typer.Option(metavar="i/k", help="Run the i-th of k shares only; `crowd-sim merge` joins folders.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try points that failed again.")] = False,
    tables: Annotated[
        str | None,
        typer.Option(metavar="workers,rounds", help="Tables of all runs to make beside points and runs: one, or both."),
    ] = None,
    tracker: Trackers = None,
    trust: Trust = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Run every combination of a sweep's lists; the same command goes on where an interrupted one stopped.

    Points that fail are left out and named at the end, with exit status 1.

    Example: `crowd-sim sweep paper_sweep crowd.source=synthetic sweep.crowd.n_workers=[25,75] runs=20`
    """
    console = plain_console(quiet=quiet)
    with loading(console, silent=dry_run):
        from crowd_sim.cli.sweep import sweep as run_sweep
        from crowd_sim.config.io import check_content, load_content
        from crowd_sim.sweeps.partition import WHOLE, Shard
        from crowd_sim.sweeps.plan import Sweep

        share = Shard.parse(shard) if shard else WHOLE
        content = load_content(configuration, overrides or [])
        plan = Sweep.load(configuration, overrides or [])
        check_content(configuration, content, overrides or [], trust=trust)
    if dry_run:
        from crowd_sim.commands.rehearsal import of_sweep

        _check_trackers(tracker)
        say_each(of_sweep(plan, configuration.stem, out, ray_address))
        return
    asked = tables.split(",") if tables else []
    swept = run_sweep(
        plan,
        configuration.stem,
        out,
        ray_address,
        console,
        shard=share,
        retry_failed=retry_failed,
        tables=asked,
        trackers=_trackers(tracker),
    )
    if swept.left and not quiet:
        say(f"{swept.folder}: {swept.done:,} of {swept.points:,} points; the tables are made when none is missing")
    _conclude(swept, quiet=quiet)


@app.command()
def search(
    configuration: Configuration,
    overrides: Overrides = None,
    out: Out = None,
    ray_address: RayAddress = None,
    tracker: Trackers = None,
    trust: Trust = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Look for the fields that make a metric best; the same command goes on where an interrupted one stopped.

    Example: `crowd-sim search quickstart search.metric=final_distance "search.tournament.step={low: 0.05, high: 1}"`,
    then `crowd-sim run runs/NAME/best.yaml`
    """
    console = plain_console(quiet=quiet)
    with loading(console, silent=dry_run):
        from crowd_sim.cli.search import best_table, conclusion
        from crowd_sim.cli.search import search as run_search
        from crowd_sim.config.io import check_content, load_content
        from crowd_sim.searches.plan import Search

        plan = Search.load(configuration, overrides or [])
        check_content(configuration, load_content(configuration, overrides or []), overrides or [], trust=trust)
    if dry_run:
        from crowd_sim.commands.rehearsal import of_search

        _check_trackers(tracker)
        say_each(of_search(plan, configuration.stem, out, ray_address))
        return
    found = run_search(plan, configuration.stem, out, ray_address, console, _trackers(tracker))
    if quiet:
        return
    console.print(best_table(found))
    say(conclusion(found))
    if found.was_there:
        say(f"{found.folder} had finished before: its trials were read, nothing was done again")
    say(f"{found.folder}: best.yaml, trials.parquet, report.html and figures")


@app.command()
def configs(
    schema: Annotated[
        bool, typer.Option("--schema", help="Print a JSON Schema of configurations, for editors.")
    ] = False,
) -> None:
    """List the configurations that ship: `run` and `sweep` take their names.

    Example: `crowd-sim configs`, then `crowd-sim run quickstart`
    """
    if schema:
        from crowd_sim.config.schema import schema as made

        typer.echo(json.dumps(made(), indent=2, ensure_ascii=False))
        return
    from crowd_sim.cli.configs import configs_table

    plain_console().print(configs_table())


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="A configuration or job script that ships (`crowd-sim configs`).")],
    path: Annotated[
        Path | None,
        typer.Argument(help="The file to write, a new one. [default: of the same name]", show_default=False),
    ] = None,
) -> None:
    """Write a copy of a configuration or job script that ships, to edit.

    Example: `crowd-sim init quickstart mine.yaml`, then `crowd-sim run mine.yaml`
    """
    from crowd_sim.cli.configs import write_copy

    say(str(write_copy(name, path)))


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="The folder for the whole sweep.")],
    shards: Annotated[list[Path], typer.Argument(help="The folders that `sweep --shard` has left.")],
) -> None:
    """Join the folders of a sweep's shards: the same tables as of a sweep in one piece. What two of them have counts once.

    Example: `crowd-sim merge runs/whole runs/shard-1 runs/shard-2 runs/shard-3`
    """
    from crowd_sim.commands.sweep import merge as merge_shards

    swept = merge_shards(out, shards)
    if swept.left:
        fail(f"{swept.folder}: {swept.left:,} of {swept.points:,} points are missing: run their shards first", 1)
    _conclude(swept)


@app.command()
def value(
    source: Annotated[
        Path,
        typer.Argument(help="A run's folder, or a file with a row per worker (CSV, TSV, Parquet, NumPy or JSON)."),
    ],
    target: Annotated[
        str | None, typer.Option(help="For a file: the worker who is the target, or a file with the target's row.")
    ] = None,
    score: Annotated[str, typer.Option(help="For a file: l2, l1, dot, squared_l2, or package.module:Name.")] = "l2",
    run: Annotated[int, typer.Option(help="For a run's folder: which of its runs.", min=0)] = 0,
    method: Annotated[str, typer.Option(help="The estimator; auto chooses by game and budget.")] = "auto",
    budget: Annotated[
        int,
        typer.Option(help="Utility evaluations it may spend: 10000, or 1e4.", parser=evaluations, metavar="<int>"),
    ] = 10_000,
    target_error: Annotated[
        float | None,
        typer.Option(
            help="Stop as soon as the error, over the spread of the values, is this small with 95 % confidence."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="For a file: the key of the draws.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder for the results. [default: runs/values-NAME]")
    ] = None,
    ray_address: RayAddress = None,
    trust: Trust = False,
) -> None:
    """Print the Shapley values of a finished run's crowd, or of a file; interrupted, the same command goes on.

    A run needs to be of vectors and without crowd.bad. What the folder holds already is read, not evaluated again.

    Example: `crowd-sim value runs/hundred --budget 100000` or `crowd-sim value crowd.csv --target anna --score l1`
    """
    console = plain_console()
    with loading(console):
        from crowd_sim.cli.value import value as value_asked
        from crowd_sim.cli.value import values_table
        from crowd_sim.commands.question import Asked
        from crowd_sim.commands.value import check_no_run, check_own, load_people, of_people, of_run
        from crowd_sim.commands.values_folder import table_of
        from crowd_sim.valuation import TargetError

        if is_folder(source):
            check_own(target, score, seed)
            question = of_run(source, run, trust)
        else:
            check_no_run(run)
            question = of_people(load_people(source, "source"), target, score, seed, str(source))
    folder = out or Path("runs") / f"values-{question.name}"
    named = {"method": "--method", "budget": "--budget", "TargetError.relative": "--target-error"}
    with naming(named if is_folder(source) else {**named, "tournament.score": "--score"}):
        asked = Asked(question, method, budget, None if target_error is None else TargetError(relative=target_error))
        answer = value_asked(asked, ray_address, console, folder)
    console.print(values_table(table_of(question, answer.result), answer.result))
    if answer.was_there:
        say(f"{folder} had these values before: they were read, nothing was evaluated again")
    say(f"{folder}: values.parquet and values.png")


@app.command()
def equilibrium(
    configuration: Configuration,
    overrides: Overrides = None,
    cost: Annotated[float, typer.Option(help="What full effort costs, over the mean pay.")] = 0.3,
    noise: Annotated[float, typer.Option(help="How large an error is without effort, see --errors.")] = 1.0,
    errors: Annotated[
        Literal["own", "random"],
        typer.Option(help="own: vector − target grows by the noise; random: normal, the noise its standard deviation."),
    ] = "own",
    levels: Annotated[int, typer.Option(help="Efforts from 0 to 1 on the grid.")] = 11,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder for the results. [default: runs/effort-NAME]")
    ] = None,
    trust: Trust = False,
) -> None:
    """Find where workers' effort settles under a configuration's payment, and what honest effort would regret.

    Example: `crowd-sim equilibrium quickstart payment.rule=shapley --cost 0.3`
    """
    console = plain_console()
    with loading(console):
        from crowd_sim.cli.equilibrium import conclusion, effort_table
        from crowd_sim.cli.equilibrium import equilibrium as settle
        from crowd_sim.commands.equilibrium import FIGURE, TABLE, check_out, write
        from crowd_sim.config.io import load_config

        config = load_config(configuration, overrides or [], trust=trust)
        folder = out or Path("runs") / f"effort-{configuration.stem}"
        check_out(folder)
    settled = settle(config, cost, noise, levels, errors, console)
    assert config.payment is not None  # noqa: S101 - else it is refused
    console.print(effort_table(settled, config.payment.rule))
    say(conclusion(settled))
    write(folder, settled)
    say(f"{folder}: {TABLE} and {FIGURE}")


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run's or a sweep's folder.")]) -> None:
    """Draw the figures and the report of a finished run or sweep again.

    Example: `crowd-sim report runs/hundred`
    """
    with loading(plain_console()):
        from crowd_sim.report import write_report

        page = write_report(folder)
    for path in [*sorted((folder / "figures").glob("*.png")), page]:
        say(str(path))


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of runs, or of sweeps: each is held against the first.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The page to write. [default: runs/compare-FIRST-SECOND.html]")
    ] = None,
) -> None:
    """Hold finished runs, or sweeps, against the first of them: configurations, measures, workers; as a table and a page.

    Example: `crowd-sim compare runs/rank runs/calibrated --out compared.html`
    """
    console = plain_console()
    with loading(console):
        from crowd_sim.cli.compare import comparison_table
        from crowd_sim.report.compare_page import write_comparison
        from crowd_sim.report.comparison import compare as compare_folders

        found = compare_folders(folders)
        names = "-".join(visible(path.resolve().name) for path in folders[:2])
        page = write_comparison(found, out or Path("runs") / f"compare-{names}.html")
    for field, values in found.differing:
        say(f"{field}: {' | '.join(values)}")
    console.print(comparison_table(found))
    say(str(page))


@app.command("list")
def list_folders(
    folder: Annotated[Path, typer.Argument(help="Where the folders of runs, sweeps and values are.")] = Path("runs"),
) -> None:
    """List the runs, sweeps and values below a folder, the latest first, and how far they are.

    Example: `crowd-sim list`, or `crowd-sim list /data/runs`
    """
    from crowd_sim.cli.listing import folders_table

    plain_console().print(folders_table(folder))


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="A run's, a sweep's, a search's or a valuation's folder.")],
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on saying so until nobody is at work there.")
    ] = False,
) -> None:
    """Say how far a run, a sweep or a valuation is, whether it is running, finished or dead.

    Example: `crowd-sim status runs/hundred`, or `crowd-sim status --watch runs/hundred`
    """
    from crowd_sim.cli.status import status_lines
    from crowd_sim.cli.status import watch as watch_status

    if watch:
        watch_status(folder, plain_console())
        return
    say_each(status_lines(folder))


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="A run's or a sweep's folder.")],
    port: Annotated[
        int, typer.Option(help="The port on 127.0.0.1; 0 takes any that is free.", min=0, max=65535)
    ] = 8600,
) -> None:
    """Serve a folder's report to this machine's browsers; while a command is at work there, what there is so far, kept fresh.

    Example: `crowd-sim watch runs/hundred`, then open http://127.0.0.1:8600/
    """
    from crowd_sim.cli.signals import stoppable
    from crowd_sim.cli.watch import watch as serve

    with stoppable(), suppress(KeyboardInterrupt):  # which is how it ends
        serve(folder, port, say)


@app.command()
def verify(
    folder: Annotated[
        Path, typer.Argument(help="A run's, a sweep's or a valuation's folder, or a cache of utilities.")
    ],
) -> None:
    """Check that every file of a folder is what was written; status 2 where one is not.

    Example: `crowd-sim verify runs/hundred`
    """
    from crowd_sim.commands.verify import verify as verify_folder

    found = verify_folder(folder)
    for checked in found:
        if checked.state != "whole":
            say(f"{checked.name}: {checked.state}")
    broken = [checked.name for checked in found if checked.state in ("damaged", "missing")]
    whole = sum(checked.state == "whole" for checked in found)
    say(f"{folder}: {whole:,} of {len(found):,} files are what was written")
    if broken:
        more = f" and {len(broken) - 1:,} more" if len(broken) > 1 else ""
        raise InputError("folder", str(folder), f"has files that are not what was written: {broken[0]}{more}")


@app.command()
def bench(
    overrides: Overrides = None,
    runs: Annotated[int, typer.Option(help="Runs of the paper's own procedure per size of crowd.", min=1)] = 9,
) -> None:
    """Compare the time per run of the paper's sweep with the paper's own procedure, written plainly.

    Example: `crowd-sim bench --runs 3 sweep.crowd.n_workers=[25,75]`
    """
    from crowd_sim.cli.bench import compare

    compare(runs, overrides or [], plain_console())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with status 0, 1 or 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ± must not fail a run that is done
    with unfailing_output() as output:
        status = _status_of(arguments)
        if (reason := output.failure()) and not status:
            fail(f"standard output cannot be written ({reason}); what was asked for is done all the same", 1)
    sys.exit(status)


def _status_of(arguments: Sequence[str] | None) -> int:
    try:
        status = app(args=arguments, prog_name="crowd-sim", standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)  # only errors of usage have one
        command = context.command_path if context else "crowd-sim"
        message = error.format_message().replace("Value error, ", "").strip().rstrip(".") or "a command is needed"
        fail(f"{message}; `{command} --help` shows what is allowed", 2)
    except InputError as error:
        fail(str(error), 2)
    except (ClusterError, StorageError) as error:
        fail(str(error), 1)
    except StrategyError as error:
        typer.echo("\n".join(map(visible, error.trace.rstrip().expandtabs().split("\n"))), err=True)
        fail(str(error), 1)
    except MemoryError as error:
        fail(f"out of memory ({error})", 1)
    except NothingDone:
        fail("interrupted while it loaded: nothing has been done", _INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if status == _INTERRUPTED:  # Typer makes it of Ctrl-C itself
        given = sys.argv[1:] if arguments is None else arguments
        goes_on = next((word for word in given if not word.startswith("-")), "") in _RESUMABLE
        kept = "; what is done is kept: the same command goes on where it stopped" if goes_on else ""
        fail(f"interrupted{kept}", _INTERRUPTED)
    return int(status or 0)


def _conclude(swept: Swept, *, quiet: bool = False) -> None:
    """Say what a sweep has come to; status 1 where points failed."""
    if swept.done and not swept.left and not quiet:
        say(f"{swept.folder}: points.parquet, report.html and figures")
    if swept.failed:
        first = swept.first_failure
        where = f" (failures.parquet has the tracebacks; the first error: {first['error'][:200]})" if first else ""
        fail(
            f"{swept.failed:,} of {swept.points:,} points failed{where}; with --retry-failed the same command tries them again",
            1,
        )


def _check_trackers(names: list[str] | None) -> None:
    from crowd_sim.trackers.by_name import check_tracker

    for name in names or []:
        check_tracker(name)


def _trackers(names: list[str] | None) -> list[Named]:
    if not names:
        return []
    from crowd_sim.trackers import tracker_of

    return [tracker_of(name) for name in names]


if __name__ == "__main__":
    main()
