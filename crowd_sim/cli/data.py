"""`crowd-sim data`: what the project may not ship, fetched or made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crowd_sim.cli.group import Group
from crowd_sim.cli.output import plain_console
from crowd_sim.cli.saying import loading, say

data = typer.Typer(cls=Group, help="Fetch or make data that the project may not ship.", no_args_is_help=True)


@data.command()
def movielens(
    folder: Annotated[Path, typer.Argument(help="Where ml-latest-small/ is put.")] = Path("data"),
) -> None:
    """Download MovieLens ml-latest-small and check it.

    Example: `crowd-sim data movielens data`, then `crowd-sim run CONFIG crowd.source=movielens crowd.path=data`
    """
    from crowd_sim.commands.progress import shown
    from crowd_sim.crowd.sources.download import fetch_movielens

    with shown(plain_console()) as progress:
        place = fetch_movielens(folder, progress)
    say(str(place))


@data.command("tiny-model")
def tiny_model(
    out: Annotated[Path, typer.Option("--out", help="The folder for the model; it must not be there yet.")],
) -> None:
    """Make a language model of random weights for trying out, offline: half a megabyte that says nothing sensible.

    Example: `crowd-sim data tiny-model --out tiny`, then `crowd-sim run llm_prefer task.model=tiny task.max_tokens=512`
    """
    with loading(plain_console(), "the modules that make models"):
        from crowd_sim.models.tiny import make_tiny_model

        n_weights = make_tiny_model(out)
    say(f"{out}: {n_weights:,} random weights; task.model={out} takes them")


@data.command()
def goemotions(
    out: Annotated[Path, typer.Option("--out", help="The Parquet file for the neighbourhoods.")],
    emotion: Annotated[list[str] | None, typer.Option(help="An emotion; may be repeated. [default: all]")] = None,
    classifier: Annotated[
        str | None, typer.Option(help="Φ: a folder or an id on the Hugging Face hub. [default: the paper's]")
    ] = None,
    device: Annotated[str, typer.Option(help="Where Φ is computed: cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Fetch GoEmotions' comments and write the neighbourhoods that `crowd.source=goemotions` deals to the workers.

    Example: `crowd-sim data goemotions --out data/neighbourhoods.parquet --emotion joy --emotion fear`
    """
    with loading(plain_console(), "comments and classifier, then their scores"):
        from crowd_sim.cli.goemotions import fetch_comments, make_neighbourhoods
        from crowd_sim.models.phi import load_phi

        phi = load_phi("classifier", classifier, device)
        made = make_neighbourhoods(fetch_comments(), phi, emotion or [], out)
    say(made)


@data.command()
def scores(
    out: Annotated[Path, typer.Option("--out", help="The Parquet file for texts and scores.")],
    labels: Annotated[Path, typer.Option(help="The JSON file for the scores' names.")],
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Texts: .txt with one per line, .jsonl or .parquet with text. [default: GoEmotions' comments]"
        ),
    ] = None,
    classifier: Annotated[
        str | None, typer.Option(help="Φ: a folder or an id on the Hugging Face hub. [default: the paper's]")
    ] = None,
    device: Annotated[str, typer.Option(help="Where Φ is computed: cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Score texts by a classifier, for `crowd-sim data distill`.

    Example: `crowd-sim data scores --texts generated.txt --out scored.parquet --labels labels.json`
    """
    with loading(plain_console(), "texts and classifier, then their scores"):
        from crowd_sim.cli.goemotions import fetch_comments, score_texts
        from crowd_sim.crowd.sources.feedback import read_target_texts
        from crowd_sim.models.phi import load_phi

        given = None if texts is None else read_target_texts(texts, "--texts")
        phi = load_phi("classifier", classifier, device)
        made = score_texts(fetch_comments() if given is None else given, phi, out, labels)
    say(made)


@data.command()
def distill(
    texts: Annotated[Path, typer.Option(help="Parquet or JSONL with text and scores, a classifier's probabilities.")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the distilled Φ.")],
    labels: Annotated[Path | None, typer.Option(help="A JSON list of the scores' names. [default: 0, 1, …]")] = None,
    judged: Annotated[
        Path | None, typer.Option(help="Neighbourhoods that it is to judge: their texts are left out of the fit.")
    ] = None,
    encoder: Annotated[str, typer.Option(help="A folder, minilm, or an id on the Hugging Face hub.")] = "minilm",
    seed: Annotated[int, typer.Option(help="The key of the fit's draws.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="Where the encoder is computed: cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Distil a classifier's scores of some texts into a Φ that needs a small sentence encoder only.

    Example: `crowd-sim data distill --texts scored.parquet --labels labels.json --judged neighbourhoods.parquet --out phi`
    """
    console = plain_console()
    with loading(console):
        from crowd_sim.cli.distill import distill_into, quality_table
        from crowd_sim.commands.progress import shown
    with shown(console) as progress:
        description = distill_into(out, texts, labels, judged, encoder, seed, device, progress)
    console.print(quality_table(description))
    say(f"{out}: distilled.json and head.safetensors")
