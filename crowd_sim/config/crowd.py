"""The section `crowd`: who contributes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from crowd_sim.config.bad import Bad, BadConfig, groups_of
from crowd_sim.config.strict import Strict
from crowd_sim.config.task import EXAMPLES_OF, TEXT_SOURCES
from crowd_sim.crowd.bad import BadGroup
from crowd_sim.crowd.sources.layout import Layout
from crowd_sim.registry import check_strategy


class RecordsConfig(Strict):
    """How the rows of `crowd.source=records` are read; the columns tell what they say."""

    columns: dict[str, str] = Field(
        {},
        description="names in the file of columns that a layout knows by another one, as `{prompt: question}`",
    )
    worker: str | None = Field(
        None,
        description="the column with each row's worker; absent: `worker` if there is one, else every row is its own",
    )
    others: Literal["ignore", "keep", "refuse"] = Field(
        "refuse", description="columns that a layout does not know are left out, kept beside the row, or an error"
    )

    def __hash__(self) -> int:
        """As pydantic's, of names that a dictionary holds."""
        return hash((tuple(sorted(self.columns.items())), self.worker, self.others))


class CrowdConfig(Strict):
    """Who contributes."""

    source: str = Field(
        "synthetic",
        description="`synthetic` (drawn by the documented generator), `movielens`, `vectors`, `ratings`, or "
        "`package.module:Name`; with `task.kind=imitate`: `goemotions`, `feedback`, `example_feedback` or `records`; "
        "tasks of items: `records`, and of `classify` `example_labels`, of `prefer` `example_feedback`, of `verify` "
        "`example_answers`",
    )
    path: str | None = Field(
        None,
        description="`movielens`: folder with ratings.csv and movies.csv (default: the environment's `CROWD_SIM_DATA`); "
        "`vectors`: a CSV, TSV, Parquet, NumPy or JSON file, a row per worker; `ratings`: a CSV, TSV or Parquet file, a row "
        "per rating (docs/data.md); `goemotions`: a file of neighbourhoods or a folder with one (same default); `feedback`: a "
        "JSONL or Parquet file of worker, prompt, response; `records`: JSONL, a JSON array, CSV, Parquet or a saved `datasets` "
        "folder",
    )
    target: str | None = Field(
        None,
        description="with `task.kind=imitate`, where outputs should lead: an emotion (`goemotions`), a file of texts "
        "(`feedback`), or a style (`example_feedback`); with `records` a file of texts, or absent: the crowd's own",
    )
    examples_per_worker: int | None = Field(
        None,
        ge=1,
        description="`goemotions`: so many comments of each worker, drawn by the `seed` of the run; absent: all neighbours, "
        "dealt by rank",
    )
    max_words: int | None = Field(
        None, ge=1, description="`goemotions`: the longest comments that are drawn, with `crowd.examples_per_worker`"
    )
    n_workers: int = Field(75, ge=1, le=100_000_000, description="workers per run; one more person is the target")
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="of the people that the synthetic source draws; runs with another `seed` meet the same",
    )
    selection: Literal["first", "random"] = Field(
        "random",
        description="people of a run: the `first` n_workers + 1 rows of the source (the paper's choice: every run meets the "
        "same people) or as many drawn at `random` for every run",
    )
    held_out: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the crowd's texts that nobody trains on and the target is not made of: outputs and losses are "
        "measured on them. 0: outputs are compared with the target's texts. Tasks of items: as much for selection and, unless "
        "there is a `task.expert`, as much again for the report, below 0.5 then",
    )
    chunk_size: int = Field(
        16,
        ge=1,
        le=100_000_000,
        description="workers per chunk. Chunks are what shards are made of and in which sums are folded, so results depend on "
        "this number in the last bits, and on the number of shards not at all. There are no more shards than chunks; from "
        "100,000 workers on choose thousands, as small chunks cost more than their workers",
    )

    records: RecordsConfig = RecordsConfig()
    behaviour: str = Field(
        "honest",
        description="what workers contribute: `honest` (their vectors), or `package.module:Name`",
    )

    bad: Bad = Field(
        (),
        description="who contributes something else than the others do: a mapping of the fields below, or a list of such "
        "mappings",
    )

    id_column: str | None = Field(
        None,
        description="`vectors` and `ratings`: the column that names the workers; absent: `worker`, if there is one",
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="`vectors`, `ratings` and `records`: what stands between the fields of a text file; absent: a comma, "
        "semicolon or tab, as its first lines show",
    )
    decimal: Literal[".", ","] | None = Field(
        None,
        description="`vectors` and `ratings`: what stands before the fraction of numbers in a text file; absent: as they show",
    )

    @property
    def layout(self) -> Layout:
        """What is said of the file."""
        return Layout(self.id_column, self.separator, self.decimal)

    @property
    def bad_groups(self) -> tuple[BadGroup, ...]:
        """The groups of bad workers; none of share 0."""
        return tuple(bad.group for bad in groups_of(self.bad) if bad.share)

    @field_validator("bad")
    @classmethod
    def _possible(cls, value: BadConfig | tuple[BadConfig, ...]) -> BadConfig | tuple[BadConfig, ...]:
        if sum(bad.share for bad in groups_of(value)) > 1 + 1e-9:
            raise ValueError("shares must add up to 1 at most")
        return value

    @field_validator("source", "behaviour")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "source" and value in (*TEXT_SOURCES, *EXAMPLES_OF.values()):
            return value
        return check_strategy(str(info.field_name), value)
