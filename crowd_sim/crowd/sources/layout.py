"""How a file of vectors or ratings is laid out, as far as its user says."""

from __future__ import annotations

from dataclasses import dataclass

ID_COLUMN = "worker"


@dataclass(frozen=True)
class Layout:
    """What a configuration says of a file; what it does not say is recognised, or the default.

    Attributes:
        id_column: the column that names the workers; None: `worker`, if there is one.
        separator: of a text file, one character between its fields; None: recognised of comma, semicolon and tab.
        decimal: of a text file, what stands before the fraction, a point or a comma; None: recognised.
    """

    id_column: str | None = None
    separator: str | None = None
    decimal: str | None = None

    @property
    def ids(self) -> str:
        """The column that names the workers, where it is there."""
        return ID_COLUMN if self.id_column is None else self.id_column


ANY = Layout()
