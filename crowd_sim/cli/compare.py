"""What `crowd-sim compare` shows: each measure side by side, and how the others differ from the first."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from crowd_sim.report.compare_page import metric_row
from crowd_sim.report.comparison import Comparison


def comparison_table(comparison: Comparison) -> Table:
    """A row per measure."""
    names = [folder.name for folder in comparison.folders]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("")
    for name in names:
        table.add_column(Text(name), justify="right")
    for name in names[1:]:
        table.add_column(Text(f"{name} − {names[0]}"), justify="right")
        table.add_column("95 % interval", justify="right")
    for metric in comparison.metrics:
        row = metric_row(comparison, metric)
        differences = [cell for difference in row["differences"] for cell in difference]
        table.add_row(row["words"], *row["means"], *differences)
    return table
