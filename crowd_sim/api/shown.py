"""Tables of results, printed and in notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crowd_sim.files import arrow_table

if TYPE_CHECKING:
    import pandas as pd


_ROWS = 20
"""Of a table that is printed."""


def html_of(table: pd.DataFrame) -> str:
    """Its first and last rows, for a notebook."""
    return table.to_html(index=False, max_rows=_ROWS, float_format=lambda number: f"{number:.4g}")


def text_of(table: pd.DataFrame) -> str:
    """Its first and last rows, printed."""
    return table.to_string(index=False, max_rows=_ROWS, float_format=lambda number: f"{number:.4g}")


def frame_of(path: Path) -> pd.DataFrame:
    """A Parquet file's table."""
    return arrow_table(path.read_bytes()).to_pandas()
